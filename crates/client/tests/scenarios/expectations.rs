//! Compares what a scenario expects with what is.

use serde_json::{Value, json};

use super::format::{Fallible, Object, count, duration, object, only, range, text};
use super::link::Kind;
use super::world::World;

/// What does not hold, one line each.
pub(crate) fn differences(world: &mut World, expected: &Object) -> Fallible<Vec<String>> {
    only(
        expected,
        &[
            "refreshes",
            "revokes",
            "hostCalls",
            "requests",
            "sessions",
            "stored",
            "outbox",
            "tokens",
            "clients",
        ],
    )?;
    let mut found = Found::default();
    let requests = world.link.lock().requests.clone();
    for (name, kind) in [
        ("refreshes", Kind::Refresh),
        ("revokes", Kind::Revoke),
        ("hostCalls", Kind::Host),
    ] {
        let number = requests
            .iter()
            .filter(|request| request.kind == kind)
            .count();
        found.within(name, expected.get(name), Some(number as i64), count)?;
    }
    if let Some(wanted) = expected.get("requests").and_then(Value::as_array) {
        let refreshes: Vec<_> = requests
            .iter()
            .filter(|request| request.kind == Kind::Refresh)
            .collect();
        found.same(
            "requests.length",
            Some(&json!(wanted.len())),
            &json!(refreshes.len()),
        );
        for (index, (wanted, actual)) in wanted.iter().zip(refreshes).enumerate() {
            let wanted = object(wanted, &["presented", "at", "sentAt"])?;
            let at = |what: &str| format!("requests.{index}.{what}");
            found.same(
                &at("presented"),
                wanted.get("presented"),
                &json!(actual.presented),
            );
            found.within(&at("at"), wanted.get("at"), Some(actual.at), duration)?;
            found.within(
                &at("sentAt"),
                wanted.get("sentAt"),
                actual.sent_at,
                duration,
            )?;
        }
    }
    for (name, state) in members(expected, "sessions") {
        let session = world.link.lock().names.session(name)?;
        let actual = world
            .link
            .lock()
            .ended
            .get(&session)
            .copied()
            .unwrap_or("live");
        found.same(&format!("sessions.{name}"), Some(state), &json!(actual));
    }
    for (name, pair) in members(expected, "stored") {
        found.same(&format!("stored.{name}"), Some(pair), &world.stored(name));
    }
    for (name, pairs) in members(expected, "outbox") {
        found.same(&format!("outbox.{name}"), Some(pairs), &world.outbox(name));
    }
    for (name, token) in members(expected, "tokens") {
        let tokens = world.tokens.lock().unwrap();
        let actual = tokens.get(name).cloned().unwrap_or_default();
        found.same(&format!("tokens.{name}"), Some(token), &actual);
    }
    for (name, wanted) in members(expected, "clients") {
        about_client(world, name, wanted, &mut found)?;
    }
    Ok(found.0)
}

fn members<'a>(expected: &'a Object, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    expected
        .get(name)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn about_client(world: &mut World, name: &str, wanted: &Value, found: &mut Found) -> Fallible<()> {
    let keys = [
        "state",
        "token",
        "told",
        "errors",
        "ends",
        "storageErrors",
        "connect",
        "user",
    ];
    let wanted = object(wanted, &keys)?;
    let link = world.link.clone();
    let client = world.client(name)?;
    client.take_events();
    let state = link.lock();
    let log = client.log.lock().unwrap();
    let at = |what: &str| format!("{name}.{what}");
    let tokens = client.manager.tokens();
    let token = tokens.map(|tokens| state.names.of_access_token(&tokens.access_token));
    found.same(
        &at("state"),
        wanted.get("state"),
        &json!(client.manager.state().as_str()),
    );
    found.same(&at("token"), wanted.get("token"), &json!(token));
    let user = client.manager.user().map(|user| user.id);
    found.same(&at("user"), wanted.get("user"), &json!(user));
    let failed = *client.connect_error.lock().unwrap();
    found.same(&at("connect"), wanted.get("connect"), &json!(failed));
    found.same(&at("ends"), wanted.get("ends"), &json!(log.ends));
    let errors = Some(log.storage_errors);
    found.within(
        &at("storageErrors"),
        wanted.get("storageErrors"),
        errors,
        count,
    )?;
    let told: Vec<_> = log
        .told
        .iter()
        .map(|pair| state.names.of_access_token(&pair.access_token))
        .collect();
    match wanted.get("told") {
        Some(Value::Array(names)) if names.iter().all(Value::is_string) => {
            found.same(&at("told"), wanted.get("told"), &json!(told));
        }
        range => found.within(&at("told"), range, Some(told.len() as i64), count)?,
    }
    let Some(errors) = wanted.get("errors").and_then(Value::as_array) else {
        return Ok(());
    };
    found.same(
        &at("errors.length"),
        Some(&json!(errors.len())),
        &json!(log.errors.len()),
    );
    for (index, (wanted, actual)) in errors.iter().zip(&log.errors).enumerate() {
        let wanted = object(wanted, &["kind", "code", "status", "message", "not"])?;
        let at = |what: &str| format!("{name}.errors.{index}.{what}");
        found.same(
            &at("kind"),
            wanted.get("kind"),
            &json!(actual.kind.as_str()),
        );
        found.same(&at("code"), wanted.get("code"), &json!(actual.code()));
        found.same(&at("status"), wanted.get("status"), &json!(actual.status));
        if let Some(prefix) = wanted.get("message")
            && !actual.message.starts_with(text(prefix)?)
        {
            found
                .0
                .push(format!("{}: {}", at("message"), actual.message));
        }
        if let Some(not) = wanted.get("not")
            && actual.message.contains(text(not)?)
        {
            found.0.push(format!("{}: {}", at("not"), actual.message));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn same(&mut self, what: &str, wanted: Option<&Value>, actual: &Value) {
        if let Some(wanted) = wanted
            && wanted != actual
        {
            self.0
                .push(format!("{what}: expected {wanted}, got {actual}"));
        }
    }

    fn within(
        &mut self,
        what: &str,
        wanted: Option<&Value>,
        actual: Option<i64>,
        read: fn(&Value) -> Fallible<i64>,
    ) -> Fallible<()> {
        if let Some(wanted) = wanted {
            let (least, most) = range(wanted, read)?;
            if !actual.is_some_and(|actual| (least..=most).contains(&actual)) {
                self.0
                    .push(format!("{what}: expected {wanted}, got {actual:?}"));
            }
        }
        Ok(())
    }
}
