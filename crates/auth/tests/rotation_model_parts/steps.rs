//! Everything that can happen next, and what comes of it.

use chatsdk_auth::rotation::{Decision, GRACE, Known, Plan, Presented};

use super::Session;
use super::rules::LONG;
use super::world::{FAR, NOW, Party, Pending, Stray, Tab, Thief, World};

/// One thing that happens. Tabs are named by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A little time passes.
    Little,
    /// A minute and more passes.
    Long,
    /// A tab decides to refresh: it is due, or it was told that its access token has expired.
    Begin(usize),
    /// It reads the storage and sends.
    Send(usize),
    /// The server answers its request.
    Answer(usize),
    /// The server reads the row and decides.
    Decide(usize),
    /// The server writes what it decided, or finds that it may not and decides again.
    Write(usize),
    /// The reply arrives.
    Receive(usize),
    /// The tab saves what it received, and may use it from then on.
    Save(usize),
    /// An access token of a reply is used although its pair could not be saved.
    UseUnsaved(usize),
    /// The tab is killed, or its connection breaks. What it sent may still arrive.
    Abandon(usize),
    /// A request is sent twice by something on the way.
    Double(usize),
    /// The server answers a request whose sender no longer waits.
    AnswerStray(usize),
    /// A tab calls with the stored pair's access token.
    Use,
    /// What memory saw in use is written.
    Flush,
    /// The server crashes and starts again.
    Crash,
    /// A backup is taken.
    Backup,
    /// It is restored.
    Restore,
    /// The session is revoked.
    Revoke,
    /// The stored refresh token is copied.
    Steal,
    /// The thief presents its newest token.
    ThiefPresents,
    /// The thief calls with its newest access token.
    ThiefUses,
}

/// Collects what can happen.
pub fn possible(model: &Session, world: &World, steps: &mut Vec<Step>) {
    steps.extend([Step::Little, Step::Long]);
    for (at, tab) in world.tabs.iter().enumerate() {
        // Tabs in the same state are the same tab.
        if at > 0 && world.tabs[at - 1] == *tab {
            continue;
        }
        match *tab {
            Tab::Rests => {
                if model.client.floor_at_read || !is_too_soon(model, world) {
                    steps.push(Step::Begin(at));
                }
            }
            Tab::Begun { .. } => steps.extend([Step::Send(at), Step::Abandon(at)]),
            Tab::Waits { .. } => {
                let arrives = if model.two_steps {
                    Step::Decide(at)
                } else {
                    Step::Answer(at)
                };
                steps.extend([arrives, Step::Abandon(at)]);
                if world.strays.len() < model.strays {
                    steps.push(Step::Double(at));
                }
            }
            Tab::Decided { .. } => steps.push(Step::Write(at)),
            Tab::Answered { .. } if tells_receipt_apart(model) => {
                steps.extend([Step::Receive(at), Step::Abandon(at)]);
            }
            Tab::Answered { .. } | Tab::Received { .. } => {
                steps.extend([Step::Save(at), Step::Abandon(at)]);
                if !model.client.save_first {
                    steps.push(Step::UseUnsaved(at));
                }
            }
        }
    }
    steps.extend((0..world.strays.len()).map(Step::AnswerStray));
    steps.push(Step::Use);
    if world.memory > world.row.proven {
        steps.push(Step::Flush);
    }
    if model.crashes {
        steps.push(Step::Crash);
    }
    if world.backup.is_some() {
        steps.push(Step::Restore);
    } else if world.restored < model.restores {
        steps.push(Step::Backup);
    }
    if model.revocation && !world.revoked {
        steps.push(Step::Revoke);
    }
    if model.thief {
        if world.thief.is_some() {
            steps.extend([Step::ThiefPresents, Step::ThiefUses]);
        } else {
            steps.push(Step::Steal);
        }
    }
}

/// Whether the stored pair is so young that it is used and not presented.
fn is_too_soon(model: &Session, world: &World) -> bool {
    NOW - world.stored.1 <= model.client.floor
}

fn tells_receipt_apart(model: &Session) -> bool {
    !model.client.age_at_save || !model.client.floor_from_save
}

/// The world after a step.
pub fn take(model: &Session, world: &World, step: Step) -> World {
    let mut world = world.clone();
    match step {
        Step::Little => return world.later(model, model.step),
        Step::Long => return world.later(model, LONG),
        Step::Begin(at) => {
            let read = (!model.client.stamp_first).then_some(world.stored.0);
            world.tabs[at] = Tab::Begun {
                stamp: NOW + model.client.ahead,
                read,
            };
        }
        Step::Send(at) => {
            if let Tab::Begun { stamp, read } = world.tabs[at] {
                world.tabs[at] = match read {
                    None if model.client.floor_at_read && is_too_soon(model, &world) => Tab::Rests,
                    None => Tab::Waits {
                        stamp,
                        n: world.stored.0,
                    },
                    Some(n) => Tab::Waits {
                        stamp: NOW + model.client.ahead,
                        n,
                    },
                };
            }
        }
        Step::Answer(at) => {
            if let Tab::Waits { stamp, n } = world.tabs[at] {
                world.tabs[at] = match answer(model, &mut world, n, Some(stamp), Party::Victim) {
                    Some(n) => Tab::Answered { stamp, n },
                    None => Tab::Rests,
                };
            }
        }
        Step::Decide(at) => {
            if let Tab::Waits { stamp, n } = world.tabs[at] {
                decide(model, &mut world, at, stamp, n);
            }
        }
        Step::Write(at) => {
            if let Tab::Decided { stamp, n, plan } = world.tabs[at] {
                let decided = world.pending[plan].plan(n);
                if (model.server.applies)(&decided, &world.row) {
                    rotate(model, &mut world, &decided, Party::Victim);
                    world.tabs[at] = Tab::Answered {
                        stamp,
                        n: decided.next,
                    };
                } else {
                    world.tabs[at] = match answer(model, &mut world, n, Some(stamp), Party::Victim)
                    {
                        Some(n) => Tab::Answered { stamp, n },
                        None => Tab::Rests,
                    };
                }
            }
        }
        Step::Receive(at) => {
            if let Tab::Answered { stamp, n } = world.tabs[at] {
                world.tabs[at] = Tab::Received { stamp, n, at: NOW };
            }
        }
        Step::Save(at) => {
            let (n, received_at) = match world.tabs[at] {
                Tab::Answered { n, .. } => (n, NOW),
                Tab::Received { n, at, .. } => (n, at),
                _ => return world,
            };
            let since = if model.client.floor_from_save {
                NOW
            } else {
                received_at
            };
            if n > world.stored.0 || !model.client.compare {
                world.stored = (n, since);
            }
            world.tabs[at] = Tab::Rests;
        }
        Step::UseUnsaved(at) => {
            if let Tab::Answered { n, .. } | Tab::Received { n, .. } = world.tabs[at] {
                see(model, &mut world, n, Party::Victim);
            }
        }
        Step::Abandon(at) => {
            if let Tab::Waits { stamp, n } = world.tabs[at]
                && world.strays.len() < model.strays
            {
                world.strays.push(Stray { stamp, n });
            }
            world.tabs[at] = Tab::Rests;
        }
        Step::Double(at) => {
            if let Tab::Waits { stamp, n } = world.tabs[at] {
                world.strays.push(Stray { stamp, n });
            }
        }
        Step::AnswerStray(at) => {
            let Stray { stamp, n } = world.strays.remove(at);
            answer(model, &mut world, n, Some(stamp), Party::Victim);
        }
        Step::Use => {
            let n = world.stored.0;
            see(model, &mut world, n, Party::Victim);
        }
        Step::Flush => {
            world.row.proven = world.row.proven.max(world.memory);
            world.memory = 0;
        }
        Step::Crash => {
            world.watch.excused |= world.memory > world.row.proven;
            forget(&mut world);
        }
        Step::Backup => world.backup = Some(world.row),
        Step::Restore => {
            if let Some(backup) = world.backup.take() {
                world.restored += 1;
                world.row = backup;
                world.row.revoked |= world.revoked && model.journal;
                world.watch.excused = true;
                forget(&mut world);
                return world.later(model, model.downtime);
            }
        }
        Step::Revoke => {
            world.row.revoked = true;
            world.revoked = true;
        }
        Step::Steal => {
            let (n, _) = world.stored;
            world.thief = Some(Thief { n, stolen: n });
        }
        Step::ThiefPresents => {
            if let Some(thief) = world.thief
                && let Some(n) = answer(model, &mut world, thief.n, None, Party::Thief)
            {
                world.thief = Some(Thief { n, ..thief });
            }
        }
        Step::ThiefUses => {
            if let Some(Thief { n, .. }) = world.thief {
                see(model, &mut world, n, Party::Thief);
            }
        }
    }
    world
}

/// What a process loses when it ends: what it saw, and what it was doing.
fn forget(world: &mut World) {
    world.memory = 0;
    world.pending.clear();
    for tab in &mut world.tabs {
        if matches!(tab, Tab::Decided { .. }) {
            *tab = Tab::Rests;
        }
    }
}

fn see(model: &Session, world: &mut World, n: i64, by: Party) {
    // An access token of a revoked session is refused before anything is noted.
    if world.row.revoked {
        return;
    }
    let seen = (model.server.see)(&world.row, world.memory, n);
    // What is written already need not be remembered.
    if seen > world.row.proven {
        world.memory = seen;
    }
    if by == Party::Victim && n >= world.watch.unused {
        world.watch.unused = 0;
    }
}

fn ask(model: &Session, world: &World, n: i64, stamp: Option<i64>) -> Decision {
    let presented = Presented {
        n,
        exp: FAR,
        sent_at: stamp.filter(|_| model.client.says_when),
    };
    let known = Known {
        seen: world.memory,
        user_banned: false,
        now: NOW,
    };
    (model.server.decide)(Some(&world.row), &presented, &known)
}

/// The server answers at once: one process, one refresh of a session at a time.
fn answer(
    model: &Session,
    world: &mut World,
    n: i64,
    stamp: Option<i64>,
    by: Party,
) -> Option<i64> {
    match ask(model, world, n, stamp) {
        Decision::Rotate(plan) => {
            rotate(model, world, &plan, by);
            Some(plan.next)
        }
        other => answer_without_write(world, other, n, by),
    }
}

fn decide(model: &Session, world: &mut World, at: usize, stamp: i64, n: i64) {
    world.tabs[at] = match ask(model, world, n, Some(stamp)) {
        Decision::Rotate(plan) => {
            world.pending.push(Pending::of(&plan));
            Tab::Decided {
                stamp,
                n,
                plan: world.pending.len() - 1,
            }
        }
        other => match answer_without_write(world, other, n, Party::Victim) {
            Some(n) => Tab::Answered { stamp, n },
            None => Tab::Rests,
        },
    };
}

fn answer_without_write(world: &mut World, decision: Decision, n: i64, by: Party) -> Option<i64> {
    match decision {
        Decision::Stale | Decision::Revoked => None,
        Decision::Repeat(successor) => {
            world.worked_after_revoke |= world.revoked;
            presented(world, n, by);
            Some(successor.n)
        }
        Decision::Reused => {
            presented(world, n, by);
            world.told_reused = true;
            world.row.revoked = true;
            world.revoked = true;
            None
        }
        Decision::Missing | Decision::Banned | Decision::Expired | Decision::Rotate(_) => {
            panic!("{decision:?} has no place in this model")
        }
    }
}

fn rotate(model: &Session, world: &mut World, plan: &Plan, by: Party) {
    world.worked_after_revoke |= world.revoked;
    presented(world, plan.prev, by);
    world.issued_twice |= plan.next <= world.issued;
    world.issued = world.issued.max(plan.next);
    world.row = (model.server.apply)(plan, &world.row);
    if by == Party::Victim {
        world.watch.unused = plan.next;
    }
}

/// Keeps the books on who presented when, and whether that excuses the thief.
fn presented(world: &mut World, n: i64, by: Party) {
    let watch = &mut world.watch;
    let others = match by {
        Party::Victim => watch.thief_at,
        Party::Thief => watch.victim_at,
    };
    match by {
        Party::Victim => watch.victim_at = NOW,
        Party::Thief => watch.thief_at = NOW,
    }
    // What the victim presents counts from the stolen token on: an older one says nothing new.
    let Some(thief) = world.thief else { return };
    if by == Party::Victim && n < thief.stolen {
        return;
    }
    watch.excused |= NOW - others <= GRACE;
    watch.excused |= by == Party::Thief && watch.unused != 0;
    if watch.last.is_some_and(|last| last != by) {
        watch.changes = (watch.changes + 1).min(2);
    }
    watch.last = Some(by);
}
