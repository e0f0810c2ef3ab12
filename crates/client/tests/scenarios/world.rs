//! The world of a scenario, and its steps.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use chatsdk_client::platform::Signal;
use chatsdk_simulator::device::{Device, Fault, Point, SharedStorage};
use chatsdk_simulator::server::{Lives, Outcome};
use chatsdk_simulator::world as virtual_world;
use chatsdk_types::{ErrorCode, Millis};
use serde_json::{Value, json};

use super::client::Client;
use super::expectations::differences;
use super::format::{
    Fallible, Object, Scenario, count, duration, duration_or, object, only, text, unreadable,
};
use super::link::{Kind, Link, Wire};

/// Where true time starts, in ms since the Unix epoch. A Wednesday.
pub(crate) const START: Millis = 1_704_835_200_000;

pub(crate) struct World {
    pub(crate) link: Arc<Link>,
    /// What `getToken` and `refused` came to, by their `as`.
    pub(crate) tokens: Arc<Mutex<HashMap<String, Value>>>,
    device: Arc<Device>,
    clients: BTreeMap<String, Client>,
    places: HashMap<String, Arc<SharedStorage>>,
}

/// Takes the steps of `scenario`; an error at the first that does not go as it says.
pub(crate) fn run(scenario: &Scenario) -> Fallible<()> {
    let mut world = World::new(&scenario.world)?;
    for (index, step) in scenario.steps.iter().enumerate() {
        let taken = world.take(step);
        let failed = world.link.lock().failure.take();
        if let Some(why) = taken.err().or(failed) {
            let step = Value::Object(step.clone());
            return Err(format!("step {} {step}\n{why}", index + 1));
        }
    }
    Ok(())
}

impl World {
    fn new(options: &Object) -> Fallible<Self> {
        only(
            options,
            &[
                "accessTtl",
                "refreshTtl",
                "absoluteTtl",
                "serverAhead",
                "locks",
                "channel",
                "storageEvents",
                "random",
                "clients",
            ],
        )?;
        let time = virtual_world::World::at(START);
        let link = Link::new(time.clone());
        {
            let mut state = link.lock();
            let usual = Lives::default();
            state.ahead = duration_or(options, "serverAhead", 0)?;
            state.server.lives = Lives {
                access: duration_or(options, "accessTtl", usual.access)?,
                idle: duration_or(options, "refreshTtl", usual.idle)?,
                absolute: duration_or(options, "absoluteTtl", usual.absolute)?,
            };
        }
        let device = Device::new(time, Arc::new(Wire(link.clone())), link.clone(), 0);
        let mut world = Self {
            link,
            tokens: Arc::default(),
            device,
            clients: BTreeMap::new(),
            places: HashMap::new(),
        };
        let alone = json!({ "a": {} });
        let clients = options.get("clients").unwrap_or(&alone);
        for (name, own) in clients
            .as_object()
            .ok_or_else(|| unreadable("clients", clients))?
        {
            let own = own.as_object().ok_or_else(|| unreadable("a client", own))?;
            let (device, link) = (world.device.clone(), world.link.clone());
            let client = Client::new(options, own, &device, &link, |name| world.place(name))?;
            world.clients.insert(name.clone(), client);
        }
        Ok(world)
    }

    pub(crate) fn client(&mut self, name: &str) -> Fallible<&mut Client> {
        let found = self.clients.get_mut(name);
        found.ok_or_else(|| format!("there is no client {name}"))
    }

    fn place(&mut self, name: &str) -> Arc<SharedStorage> {
        self.places.entry(name.to_owned()).or_default().clone()
    }

    fn record(&mut self, name: &str) -> Value {
        let text = self.place(name).text().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub(crate) fn stored(&mut self, name: &str) -> Value {
        let record = self.record(name);
        let token = record["accessToken"].as_str();
        json!(token.map(|token| self.link.lock().names.of_access_token(token)))
    }

    pub(crate) fn outbox(&mut self, name: &str) -> Value {
        let record = self.record(name);
        let state = self.link.lock();
        let tokens = record["revoke"].as_array().cloned().unwrap_or_default();
        tokens
            .iter()
            .map(|token| {
                let token = token.as_str().unwrap_or_default();
                state
                    .names
                    .of(&state.server, token.trim_start_matches("Bearer "))
            })
            .collect()
    }

    fn take(&mut self, step: &Object) -> Fallible<()> {
        // The verb comes first; a parser that sorts members has to look for it.
        let verb = VERBS
            .iter()
            .find(|verb| step.contains_key(**verb))
            .ok_or_else(|| unreadable("a step", &Value::Object(step.clone())))?;
        let value = &step[*verb];
        let only = |more: &[&str]| only(step, &[&[*verb], more].concat());
        let world = self.device.world.clone();
        match *verb {
            "advance" => {
                only(&[])?;
                world.advance(duration(value)?);
            }
            "sleep" => {
                only(&[])?;
                world.sleep_device(duration(value)?);
            }
            "shiftWall" => {
                only(&[])?;
                self.device.shift_wall(duration(value)?);
            }
            "online" => {
                only(&[])?;
                let online = value == true;
                self.link.lock().online = online;
                self.device.signal(None, &Signal::Online(online));
            }
            "mint" => {
                only(&["user", "accessTtl"])?;
                let now = self.link.now();
                let mut guard = self.link.lock();
                let state = &mut *guard;
                let usual = state.server.lives.access;
                state.server.lives.access = duration_or(step, "accessTtl", usual)?;
                let user = step.get("user").map_or(Ok("ann"), text)?;
                let (session, tokens) = state.server.mint(user, now);
                state.server.lives.access = usual;
                if let Some(entry) = state.server.rows.get_mut(&session) {
                    entry.access = usual;
                }
                state.names.begin(text(value)?, &session);
                state.names.note(&tokens);
            }
            "connect" => {
                only(&["with", "given"])?;
                let name = text(&step["with"])?;
                let pair = self.link.lock().names.pair(name)?;
                let session = name.split('.').next().unwrap_or_default();
                let nothing = Object::new();
                let given = step
                    .get("given")
                    .and_then(Value::as_object)
                    .unwrap_or(&nothing);
                self.client(text(value)?)?.connect(&pair, given, session)?;
            }
            "disconnect" => {
                only(&[])?;
                let client = self.client(text(value)?)?;
                let manager = client.manager.clone();
                client.call(async move { manager.stop().await });
            }
            "logout" => {
                only(&[])?;
                let client = self.client(text(value)?)?;
                let manager = client.manager.clone();
                client.call(async move { manager.logout().await });
            }
            "kill" => {
                only(&["at"])?;
                let process = self.client(text(value)?)?.process;
                match step.get("at") {
                    None => world.kill(process),
                    Some(at) => {
                        let point = match text(at)? {
                            "sent" => Point::Sent,
                            "saving" => Point::Saving,
                            "saved" => Point::Saved,
                            "telling" => Point::Telling,
                            _ => return Err(unreadable("a point", at)),
                        };
                        self.link.lock().kill_at.insert(process, point);
                    }
                }
            }
            "freeze" => {
                only(&[])?;
                world.freeze(self.client(text(value)?)?.process, true);
            }
            "thaw" => {
                only(&[])?;
                let process = self.client(text(value)?)?.process;
                world.freeze(process, false);
                self.device.signal(Some(process), &Signal::Resumed);
            }
            "hide" => {
                only(&[])?;
                self.client(text(value)?)?.show(false);
            }
            "show" => {
                only(&[])?;
                let client = self.client(text(value)?)?;
                client.show(true);
                let process = client.process;
                self.device.signal(Some(process), &Signal::Resumed);
            }
            "getToken" => {
                only(&["as", "times"])?;
                for _ in 0..step.get("times").map_or(Ok(1), count)? {
                    let manager = self.client(text(value)?)?.manager.clone();
                    self.note(
                        step,
                        text(value)?,
                        async move { manager.access_token().await },
                    )?;
                }
            }
            "refused" => {
                only(&["as"])?;
                let manager = self.client(text(value)?)?.manager.clone();
                let refused = manager.tokens().map(|tokens| tokens.access_token);
                self.note(step, text(value)?, async move {
                    manager.token_other_than(refused.as_deref()).await
                })?;
            }
            "storage" => {
                only(&["fault"])?;
                let fault = match text(&step["fault"])? {
                    "none" => Fault::None,
                    "writes" => Fault::Writes,
                    "full" => Fault::Full,
                    "reads" => Fault::Reads,
                    "hang" => Fault::Hangs,
                    "slow" => Fault::Slow,
                    "late" => Fault::Late,
                    _ => return Err(unreadable("a fault", &step["fault"])),
                };
                self.place(text(value)?).set_fault(fault);
            }
            "store" => {
                only(&["text", "pair"])?;
                let written = match step.get("pair") {
                    None => text(&step["text"])?.to_owned(),
                    Some(pair) => {
                        let pair = self.link.lock().names.pair(text(pair)?)?;
                        serde_json::to_string(&pair).unwrap()
                    }
                };
                self.place(text(value)?).write(None, Some(written));
            }
            "next" => {
                only(&["of"])?;
                let answers = value
                    .as_array()
                    .ok_or_else(|| unreadable("answers", value))?;
                for kind in kinds(step)? {
                    let mut state = self.link.lock();
                    state
                        .next
                        .entry(kind)
                        .or_default()
                        .extend(answers.iter().cloned());
                }
            }
            "every" => {
                only(&["of"])?;
                for kind in kinds(step)? {
                    self.link.lock().every.insert(kind, value.clone());
                }
            }
            "release" => {
                only(&[])?;
                self.link.release(text(value)?)?;
            }
            "present" => {
                only(&["sentAt", "gives"])?;
                let now = self.link.now();
                let mut guard = self.link.lock();
                let state = &mut *guard;
                let token = state.names.pair(text(value)?)?.refresh_token;
                let stamp = match step.get("sentAt") {
                    Some(sent_at) => Some(now + duration(sent_at)?),
                    None => None,
                };
                let presentation = state.refresh(&token, stamp, now);
                let reply = state.server.answer(&presentation, now);
                if let Ok(tokens) = serde_json::from_str(&reply.body) {
                    state.names.note(&tokens);
                }
                let gave = match (presentation.outcome, &presentation.session) {
                    (Outcome::Repeated(n) | Outcome::Rotated(n), Some(session)) => {
                        state.names.name(session, n)
                    }
                    (Outcome::Refused(code), _) => code.as_str().to_owned(),
                    _ => String::new(),
                };
                if gave != text(&step["gives"])? {
                    return Err(format!("got {gave}"));
                }
            }
            "use" => {
                only(&["gives"])?;
                let now = self.link.now();
                let mut state = self.link.lock();
                let token = state.names.pair(text(value)?)?.access_token;
                let refused = state
                    .server
                    .verify(&token, now)
                    .err()
                    .map(ErrorCode::as_str);
                if refused != step.get("gives").and_then(Value::as_str) {
                    return Err(format!("got {refused:?}"));
                }
            }
            "revoke" => {
                only(&[])?;
                let mut state = self.link.lock();
                let session = state.names.session(text(value)?)?;
                state.end(&session, "revoked");
            }
            "ban" | "unban" => {
                only(&[])?;
                self.link.lock().server.ban(text(value)?, *verb == "ban");
            }
            "restart" => {
                only(&[])?;
                let now = self.link.now();
                self.link.lock().server.crash(now);
            }
            "backup" => {
                only(&[])?;
                self.link.lock().server.back_up();
            }
            "restore" => {
                only(&[])?;
                let now = self.link.now();
                if !self.link.lock().server.restore(now) {
                    return Err("there is no backup".to_owned());
                }
            }
            "accessTtl" => {
                only(&[])?;
                let access = duration(value)?;
                let mut state = self.link.lock();
                state.server.lives.access = access;
                for entry in state.server.rows.values_mut() {
                    entry.access = access;
                }
            }
            "serverAhead" => {
                only(&[])?;
                self.link.lock().ahead = duration(value)?;
            }
            "mark" => {
                only(&[])?;
                self.link.lock().requests.clear();
                self.clients.values_mut().for_each(Client::forget);
            }
            "expect" => {
                only(&[])?;
                let expected = object(value, EXPECTATIONS)?;
                let found = differences(self, expected)?;
                if !found.is_empty() {
                    return Err(found.join("\n"));
                }
            }
            verb => return Err(format!("unknown step {verb}")),
        }
        world.settle();
        Ok(())
    }

    fn note(
        &mut self,
        step: &Object,
        client: &str,
        work: impl Future<Output = Result<String, chatsdk_client::Error>> + Send + 'static,
    ) -> Fallible<()> {
        let name = step.get("as").map_or(Ok(""), text)?.to_owned();
        let (tokens, link) = (self.tokens.clone(), self.link.clone());
        tokens
            .lock()
            .unwrap()
            .insert(name.clone(), "pending".into());
        self.client(client)?.call(async move {
            let came = match work.await {
                Ok(token) => json!(link.lock().names.of_access_token(&token)),
                Err(error) => json!({ "error": error.code() }),
            };
            tokens.lock().unwrap().insert(name, came);
        });
        Ok(())
    }
}

const EXPECTATIONS: &[&str] = &[
    "refreshes",
    "revokes",
    "hostCalls",
    "requests",
    "sessions",
    "stored",
    "outbox",
    "tokens",
    "clients",
];

/// Those that are members of other steps too come last.
const VERBS: &[&str] = &[
    "advance",
    "sleep",
    "shiftWall",
    "online",
    "mint",
    "connect",
    "disconnect",
    "logout",
    "kill",
    "freeze",
    "thaw",
    "hide",
    "show",
    "getToken",
    "refused",
    "storage",
    "store",
    "next",
    "every",
    "release",
    "present",
    "use",
    "revoke",
    "ban",
    "unban",
    "restart",
    "backup",
    "restore",
    "serverAhead",
    "mark",
    "expect",
    "accessTtl",
];

fn kinds(step: &Object) -> Fallible<Vec<Kind>> {
    match step.get("of").map_or(Ok("refresh"), text)? {
        "refresh" => Ok(vec![Kind::Refresh]),
        "revoke" => Ok(vec![Kind::Revoke]),
        "host" => Ok(vec![Kind::Host]),
        "all" => Ok(vec![Kind::Refresh, Kind::Revoke, Kind::Host]),
        other => Err(format!("unknown kind {other}")),
    }
}
