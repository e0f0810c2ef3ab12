//! The way between devices and the server: slow, lossy, sometimes cut. Requests outlive their senders.

use std::sync::Arc;

use chatsdk_client::platform::{HttpReply, Unreachable};
use chatsdk_types::{ErrorCode, Millis, SessionId};
use serde_json::Value;

use crate::device::{Network, ReplyTo};
use crate::life::{HOUR, Life, MINUTE, Revoked, SECOND, State};
use crate::population::Sabotage;
use crate::rng::Rng;
use crate::server::{Outcome, Presentation};
use crate::theft::{Habit, Party};
use crate::world::ProcId;

/// How the network of a device is.
#[derive(Debug)]
pub struct Weather {
    loss: f64,
    slow: f64,
    /// Until then nothing gets through.
    pub offline_until: Millis,
    /// Whether the device knows.
    pub knows: bool,
    /// Until then the server does not answer.
    pub server_down_until: Millis,
}

impl Weather {
    /// The weather of a device.
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            loss: rng.pick(&[0.0, 0.01, 0.05, 0.2]),
            slow: rng.pick(&[0.0, 0.02, 0.1]),
            offline_until: 0,
            knows: false,
            server_down_until: 0,
        }
    }

    /// From now on it is fine.
    pub fn clear(&mut self, now: Millis) {
        self.loss = 0.0;
        self.slow = 0.0;
        self.offline_until = now;
        self.server_down_until = now;
    }
}

/// What leads from a device to the server.
pub(crate) struct Wire(pub(crate) Arc<Life>);

impl Network for Wire {
    fn online(&self) -> bool {
        let now = self.0.world.now();
        let state = self.0.lock();
        !(state.weather.knows && now < state.weather.offline_until)
    }

    fn send(
        &self,
        from: ProcId,
        path: &str,
        _authorization: Option<&str>,
        body: &str,
        reply: ReplyTo,
    ) {
        let life = &self.0;
        let now = life.world.now();
        let (path, body) = (path.to_owned(), body.to_owned());
        let mut state = life.lock();
        let up = delay(&mut state);
        if now < state.weather.offline_until {
            state.counts.unanswered += 1;
            drop(state);
            life.world.after(up.min(5 * SECOND), move || {
                let _gone = reply.send(Err(Unreachable("offline".to_owned())));
            });
            return;
        }
        life.tell(|| format!("tab {from} asks {path}, arriving in {up} ms"));
        let loss = state.weather.loss;
        if state.rng.chance(loss) {
            state.counts.lost_requests += 1;
            drop(state);
            // Nobody ever says so: the sender waits until it gives up.
            life.world.after(MINUTE, move || drop(reply));
            return;
        }
        let again = state
            .rng
            .chance(0.01)
            .then(|| state.rng.between(0, 90 * SECOND));
        state.counts.doubled += u64::from(again.is_some());
        drop(state);
        if let Some(wait) = again {
            let (life, path, body) = (life.clone(), path.clone(), body.clone());
            let world = life.world.clone();
            world.after(up + wait, move || {
                arrive(&life, Party::Owner, &path, &body, |_, _| {});
            });
        }
        let life = life.clone();
        let world = life.world.clone();
        world.after(up, move || {
            arrive(
                &life.clone(),
                Party::Owner,
                &path,
                &body,
                move |state, answer| {
                    let down = delay(state);
                    let loss = state.weather.loss;
                    if state.rng.chance(loss) {
                        state.counts.lost_replies += 1;
                        let wait = if state.rng.chance(0.5) { down } else { MINUTE };
                        life.world.after(wait, move || drop(reply));
                    } else {
                        life.world.after(down, move || {
                            let _gone = reply.send(answer);
                        });
                    }
                },
            );
        });
    }
}

fn delay(state: &mut State) -> Millis {
    let slow = state.weather.slow;
    if state.rng.chance(slow) {
        state.rng.between(2 * SECOND, 25 * SECOND)
    } else {
        state.rng.between(5, 400)
    }
}

/// A request arrives.
fn arrive(
    life: &Arc<Life>,
    party: Party,
    path: &str,
    body: &str,
    then: impl FnOnce(&mut State, Result<HttpReply, Unreachable>) + Send + 'static,
) {
    let now = life.world.now();
    let mut guard = life.lock();
    let state = &mut *guard;
    if now < state.weather.server_down_until {
        state.counts.unanswered += 1;
        let answer = if state.rng.chance(0.5) {
            Err(Unreachable("refused".to_owned()))
        } else {
            Ok(HttpReply {
                status: 502,
                content_type: "text/html".to_owned(),
                retry_after: String::new(),
                body: "<h1>Bad gateway</h1>".to_owned(),
            })
        };
        return then(state, answer);
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let token = body["refreshToken"].as_str().unwrap_or_default().to_owned();
    if path.ends_with("/revoke") {
        if let Some(claims) = state.server.read(&token) {
            state.revoked.entry(claims.sid).or_insert(Revoked::ByUser);
        }
        let answer = state.server.revoke_by(&token, now);
        return then(state, Ok(answer));
    }
    let sent_at = body["sentAt"]
        .as_i64()
        .filter(|_| life.sabotage != Some(Sabotage::DoesNotSayWhen));
    // Sometimes another node has the session too, and everything may happen between reading and writing.
    let apart = state
        .rng
        .chance(0.05)
        .then(|| state.rng.between(0, 2 * SECOND));
    match (apart, state.server.decide(&token, sent_at, now)) {
        (_, Ok(presentation)) => finish(life, state, party, &presentation, then),
        (None, Err(_)) => {
            let presentation = state.server.refresh(&token, sent_at, now);
            finish(life, state, party, &presentation, then);
        }
        (Some(wait), Err(undecided)) => {
            drop(guard);
            let again = life.clone();
            life.world.after(wait, move || {
                let now = again.world.now();
                let mut guard = again.lock();
                let state = &mut *guard;
                if now < state.weather.server_down_until {
                    return then(state, Err(Unreachable("it died".to_owned())));
                }
                let presentation = state.server.write(&undecided).unwrap_or_else(|| {
                    state.counts.overtaken += 1;
                    state.server.refresh(&token, sent_at, now)
                });
                finish(&again, state, party, &presentation, then);
            });
        }
    }
}

/// Counts what was decided, and answers.
fn finish(
    life: &Arc<Life>,
    state: &mut State,
    party: Party,
    presentation: &Presentation,
    then: impl FnOnce(&mut State, Result<HttpReply, Unreachable>),
) {
    let now = life.world.now();
    life.tell(|| {
        let Presentation { n, outcome, .. } = presentation;
        format!("{party:?} presents {n}: {outcome:?}")
    });
    let counts = &mut state.counts;
    counts.refreshes += u64::from(party == Party::Owner);
    match presentation.outcome {
        Outcome::Rotated(_) => counts.rotated += u64::from(party == Party::Owner),
        Outcome::Repeated(_) => counts.repeated += u64::from(party == Party::Owner),
        Outcome::Refused(ErrorCode::RequestStale) => counts.stale += 1,
        Outcome::Refused(_) => {}
    }
    if let Some(session) = &presentation.session {
        if presentation.outcome == Outcome::Refused(ErrorCode::RefreshTokenReused) {
            Life::reused(state, session);
        }
        let row = state.server.rows.get(session);
        let lives = row.is_some_and(|entry| !entry.row.revoked);
        let given = match presentation.outcome {
            Outcome::Rotated(next) | Outcome::Repeated(next) => Some(next),
            Outcome::Refused(_) => None,
        };
        let habit = state.thefts.get_mut(session).map(|theft| {
            if presentation.outcome != Outcome::Refused(ErrorCode::RequestStale) {
                theft.presented(party, presentation.n, given, lives, now);
            }
            theft.habit
        });
        let wait = match habit {
            Some(Habit::LockStep) => Some(state.rng.between(0, 55 * SECOND)),
            Some(Habit::Lurking) => Some(state.rng.between(61 * SECOND, 5 * MINUTE)),
            _ => None,
        };
        if let Some(wait) = wait.filter(|_| party == Party::Owner && given.is_some()) {
            let (again, session) = (life.clone(), session.clone());
            life.world
                .after(wait, move || thief_presents(&again, &session));
        }
    }
    let answer = state.server.answer(presentation, now);
    then(state, Ok(answer));
}

/// The thief of `session` presents its newest token after `wait` ms.
pub(crate) fn thief_presents_later(life: &Arc<Life>, session: &SessionId, wait: Millis) {
    let (again, session) = (life.clone(), session.clone());
    life.world
        .after(wait, move || thief_presents(&again, &session));
}

fn thief_presents(life: &Arc<Life>, session: &SessionId) {
    let now = life.world.now();
    let body = {
        let mut state = life.lock();
        // Who is caught in the last minutes leaves a tab that had no time to sign in anew.
        if state.peace {
            return;
        }
        let says_when = state.rng.chance(0.5);
        let Some(theft) = state.thefts.get(session) else {
            return;
        };
        let mut body = serde_json::json!({ "refreshToken": theft.token });
        if says_when {
            body["sentAt"] = now.into();
        }
        body.to_string()
    };
    let (again, session) = (life.clone(), session.clone());
    arrive(
        life,
        Party::Thief,
        "/auth/refresh",
        &body,
        move |state, answer| {
            let Some(theft) = state.thefts.get_mut(&session) else {
                return;
            };
            let reply = answer.ok();
            let body: Value = reply
                .as_ref()
                .and_then(|reply| serde_json::from_str(&reply.body).ok())
                .unwrap_or_default();
            match (body["refreshToken"].as_str(), body["code"].as_str()) {
                (Some(token), _) => {
                    token.clone_into(&mut theft.token);
                    if state.rng.chance(0.7) {
                        let access = body["accessToken"].as_str().unwrap_or_default();
                        let _refused = state.server.verify(access, now);
                    }
                }
                // It gives up when the session is over.
                (None, Some(code)) if code != ErrorCode::RequestStale.as_str() => return,
                _ => {}
            }
            let habit = state.thefts.get(&session).map(|theft| theft.habit);
            let wait = match habit {
                Some(Habit::Careless) => state.rng.between(10 * MINUTE, 3 * HOUR),
                // These two wait for the owner to move, and do not let the session go to waste.
                _ => state.rng.between(12 * HOUR, 60 * HOUR),
            };
            let world = again.world.clone();
            world.after(wait, move || thief_presents(&again, &session));
        },
    );
}
