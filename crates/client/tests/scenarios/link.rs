//! Between clients and server: counts what is sent, and answers as the scenario says.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatsdk_client::Tokens;
use chatsdk_client::platform::{HttpReply, Unreachable};
use chatsdk_simulator::device::{Fate, Network, Point, ReplyTo};
use chatsdk_simulator::rng::Rng;
use chatsdk_simulator::server::{Outcome, Presentation, Server, http, problem};
use chatsdk_simulator::world::{ProcId, World};
use chatsdk_types::{ErrorCode, Millis, SessionId};
use serde_json::{Map, Value, json};

use super::format::{Fallible, Object, duration, only, text, unreadable};
use super::names::Names;
use super::world::START;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Refresh,
    Revoke,
    Host,
}

/// A request that left a client.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    /// True time since the start, ms.
    pub(crate) at: Millis,
    /// What was presented, by its name.
    pub(crate) presented: String,
    /// By the sender's word, less the server's clock, ms.
    pub(crate) sent_at: Option<Millis>,
    token: String,
    stamp: Option<Millis>,
}

type Held = Box<dyn FnOnce() + Send>;

pub(crate) struct State {
    pub(crate) server: Server,
    pub(crate) names: Names,
    pub(crate) ahead: Millis,
    pub(crate) online: bool,
    pub(crate) requests: Vec<Request>,
    pub(crate) next: HashMap<Kind, VecDeque<Value>>,
    pub(crate) every: HashMap<Kind, Value>,
    /// Why sessions ended.
    pub(crate) ended: HashMap<SessionId, &'static str>,
    /// Where processes are to be killed.
    pub(crate) kill_at: HashMap<ProcId, Point>,
    /// Whose refresh the server has handled.
    handled: Option<ProcId>,
    held: HashMap<String, Held>,
    /// What cannot be answered as the scenario says.
    pub(crate) failure: Option<String>,
}

/// The server, and the way there.
pub(crate) struct Link {
    pub(crate) world: Arc<World>,
    state: Mutex<State>,
}

impl Link {
    pub(crate) fn new(world: Arc<World>) -> Arc<Self> {
        Arc::new(Self {
            world,
            state: Mutex::new(State {
                server: Server::new(Rng::new(1, 1)),
                names: Names::default(),
                ahead: 0,
                online: true,
                requests: Vec::new(),
                next: HashMap::new(),
                every: HashMap::new(),
                ended: HashMap::new(),
                kill_at: HashMap::new(),
                handled: None,
                held: HashMap::new(),
                failure: None,
            }),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server's clock.
    pub(crate) fn now(&self) -> Millis {
        self.world.now() + self.lock().ahead
    }

    pub(crate) fn release(&self, name: &str) -> Fallible<()> {
        let held = self.lock().held.remove(name);
        held.ok_or_else(|| format!("nothing is held as {name}"))?();
        Ok(())
    }

    /// Sends, and sees to a reply.
    pub(crate) fn request(
        self: &Arc<Self>,
        kind: Kind,
        token: &str,
        stamp: Option<Millis>,
        from: ProcId,
        reply: ReplyTo,
    ) {
        let now = self.now();
        let mut state = self.lock();
        let request = Request {
            kind,
            at: self.world.now() - START,
            presented: state.names.of(&state.server, token),
            sent_at: stamp.map(|stamp| stamp - now),
            token: token.to_owned(),
            stamp,
        };
        state.requests.push(request.clone());
        if !state.online && kind != Kind::Host {
            drop(state);
            let _gone = reply.send(Err(Unreachable("offline".to_owned())));
            return;
        }
        let next = state.next.get_mut(&kind).and_then(VecDeque::pop_front);
        let answer = next
            .or_else(|| state.every.get(&kind).cloned())
            .unwrap_or_else(|| "model".into());
        drop(state);
        if let Err(why) = self.answer(&answer, request, from, reply) {
            self.lock().failure.get_or_insert(why);
        }
    }

    fn answer(
        self: &Arc<Self>,
        answer: &Value,
        request: Request,
        from: ProcId,
        reply: ReplyTo,
    ) -> Fallible<()> {
        let Some(said) = answer.as_object() else {
            if answer != "model" {
                return Err(unreadable("an answer", answer));
            }
            self.give(from, &request, self.model(&request), reply);
            return Ok(());
        };
        let has = |name: &str| said.contains_key(name);
        if has("problem") {
            only(said, &["problem", "status", "retryAfter", "serverTime"])?;
            let code = text(&said["problem"])?;
            let mut body = json!({
                "type": "about:blank", "title": code, "status": said["status"], "code": code,
                "detail": code, "requestId": "req_1",
            });
            if let Some(time) = said.get("serverTime") {
                body["serverTime"] = time.clone();
            }
            let status = said["status"].as_u64().unwrap_or_default() as u16;
            let made = http(status, "application/problem+json", &body);
            self.give(from, &request, retry_after(made, said)?, reply);
        } else if has("status") {
            only(said, &["status", "body", "retryAfter"])?;
            let (content_type, body) = match text(&said["body"])? {
                "html" => ("text/html", "<html>something else</html>"),
                "json" => ("application/json", r#"{"error":"something else"}"#),
                "empty" => ("application/json", ""),
                other => return Err(format!("unknown body {other}")),
            };
            let made = HttpReply {
                status: said["status"].as_u64().unwrap_or_default() as u16,
                content_type: content_type.to_owned(),
                retry_after: String::new(),
                body: body.to_owned(),
            };
            self.give(from, &request, retry_after(made, said)?, reply);
        } else if has("lost") {
            only(said, &["lost"])?;
            if text(&said["lost"])? == "reply" {
                self.model(&request);
            }
            let _gone = reply.send(Err(Unreachable("the connection was lost".to_owned())));
        } else if has("hang") {
            only(said, &["hang"])?;
            self.lock().held.insert(
                format!("{:p}", &raw const request),
                Box::new(move || drop(reply)),
            );
        } else if has("delay") {
            only(said, &["delay"])?;
            let made = self.model(&request);
            let sleep = self.world.sleep(duration(&said["delay"])?);
            let process = self.world.reserve();
            self.world.begin(process, async move {
                sleep.await;
                let _gone = reply.send(Ok(made));
            });
        } else if has("hold") {
            only(said, &["hold", "then"])?;
            let then = said.get("then").cloned().unwrap_or_else(|| "model".into());
            let link = self.clone();
            self.hold(text(&said["hold"])?, move || {
                if let Err(why) = link.answer(&then, request, from, reply) {
                    link.lock().failure.get_or_insert(why);
                }
            });
        } else if has("holdReply") {
            only(said, &["holdReply"])?;
            let made = self.model(&request);
            self.hold(text(&said["holdReply"])?, move || {
                let _gone = reply.send(Ok(made));
            });
        } else if has("reply") {
            only(said, &["reply"])?;
            let made = self.edited(&said["reply"], &request)?;
            self.give(from, &request, made, reply);
        } else {
            return Err(unreadable("an answer", answer));
        }
        Ok(())
    }

    fn give(&self, from: ProcId, request: &Request, made: HttpReply, reply: ReplyTo) {
        if request.kind == Kind::Refresh {
            self.lock().handled = Some(from);
        }
        let _gone = reply.send(Ok(made));
    }

    fn hold(&self, name: &str, go: impl FnOnce() + Send + 'static) {
        self.lock().held.insert(name.to_owned(), Box::new(go));
    }

    fn model(&self, request: &Request) -> HttpReply {
        let now = self.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        if request.kind == Kind::Revoke {
            if let Some(session) = session_of(&state.server, &request.token) {
                state.end(&session, "revoked");
            }
            return http(200, "application/json", &json!({}));
        }
        let presentation = state.refresh(&request.token, request.stamp, now);
        let reply = match presentation.outcome {
            Outcome::Refused(code) => problem(code, now),
            _ => state.server.answer(&presentation, now),
        };
        if let Ok(tokens) = serde_json::from_str::<Tokens>(&reply.body) {
            state.names.note(&tokens);
        }
        reply
    }

    fn edited(&self, edit: &Value, request: &Request) -> Fallible<HttpReply> {
        let edit = super::format::object(edit, &["without", "with", "user"])?;
        let mut made = self.model(request);
        let mut body: Map<String, Value> =
            serde_json::from_str(&made.body).map_err(|error| error.to_string())?;
        for field in edit
            .get("without")
            .and_then(Value::as_array)
            .unwrap_or(&Vec::new())
        {
            body.remove(text(field)?);
        }
        if let Some(Value::Object(with)) = edit.get("with") {
            body.extend(with.clone());
        }
        if let Some(user) = edit.get("user") {
            let now = self.now();
            let (_, other) = self.lock().server.mint(text(user)?, now);
            body.insert("accessToken".into(), other.access_token.into());
            body.insert("user".into(), json!({ "id": user }));
        }
        made.body = Value::Object(body).to_string();
        Ok(made)
    }
}

impl State {
    /// A token is presented.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        sent_at: Option<Millis>,
        now: Millis,
    ) -> Presentation {
        let presentation = self.server.refresh(token, sent_at, now);
        if presentation.outcome == Outcome::Refused(ErrorCode::RefreshTokenReused)
            && let Some(session) = &presentation.session
        {
            self.ended.entry(session.clone()).or_insert("reused");
        }
        presentation
    }

    pub(crate) fn end(&mut self, session: &SessionId, why: &'static str) {
        self.ended.entry(session.clone()).or_insert(why);
        self.server.revoke(session);
    }
}

/// The session of a token of either kind.
fn session_of(server: &Server, token: &str) -> Option<SessionId> {
    let claims = server.read(token).map(|claims| claims.sid);
    claims.or_else(|| chatsdk_simulator::server::claims(token).map(|(session, ..)| session))
}

fn retry_after(mut made: HttpReply, said: &Object) -> Fallible<HttpReply> {
    if let Some(wait) = said.get("retryAfter") {
        made.retry_after = (duration(wait)? / 1_000).to_string();
    }
    Ok(made)
}

/// The link as the device's network.
pub(crate) struct Wire(pub(crate) Arc<Link>);

impl Network for Wire {
    fn online(&self) -> bool {
        self.0.lock().online
    }

    fn send(
        &self,
        from: ProcId,
        path: &str,
        authorization: Option<&str>,
        body: &str,
        reply: ReplyTo,
    ) {
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let kind = if path.ends_with("/auth/refresh") {
            Kind::Refresh
        } else {
            Kind::Revoke
        };
        let bearer = authorization.and_then(|said| said.strip_prefix("Bearer "));
        let token = bearer.or(body["refreshToken"].as_str()).unwrap_or_default();
        self.0
            .request(kind, token, body["sentAt"].as_i64(), from, reply);
    }
}

impl Fate for Link {
    fn dies(&self, process: ProcId, point: Point) -> bool {
        let mut state = self.lock();
        let handled = state
            .handled
            .take_if(|handled| *handled == process)
            .is_some();
        let due = state.kill_at.get(&process) == Some(&point);
        if !due || (point == Point::Sent && !handled) {
            return false;
        }
        state.kill_at.remove(&process);
        true
    }

    fn storage_delay(&self) -> Millis {
        0
    }
}
