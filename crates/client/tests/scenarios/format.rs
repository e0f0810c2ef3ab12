//! The files of `tests/scenarios`, and the small words that they are written in.

use std::path::PathBuf;

use chatsdk_types::Millis;
use serde_json::{Map, Value};

pub(crate) type Object = Map<String, Value>;
pub(crate) type Fallible<T> = Result<T, String>;

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) world: Object,
    pub(crate) steps: Vec<Object>,
}

/// The scenarios of `folder`, of every file and for every case.
pub(crate) fn scenarios(folder: &str) -> Vec<Scenario> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/scenarios")
        .join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let file = object(&file, &["theme", "scenarios"]).unwrap();
        let theme = file["theme"].as_str().unwrap();
        for value in file["scenarios"].as_array().unwrap() {
            let keys = ["name", "real", "rules", "cases", "world", "steps"];
            let value = object(value, &keys).unwrap();
            let name = value["name"].as_str().unwrap();
            let make = |label: &str, case: Option<&Value>| Scenario {
                name: format!("{theme}: {name}{label}"),
                world: match value.get("world") {
                    Some(world) => filled(world, case).as_object().unwrap().clone(),
                    None => Map::new(),
                },
                steps: filled(&value["steps"], case)
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|step| step.as_object().unwrap().clone())
                    .collect(),
            };
            match value.get("cases") {
                None => all.push(make("", None)),
                Some(cases) => all.extend(
                    cases
                        .as_object()
                        .unwrap()
                        .iter()
                        .map(|(label, case)| make(&format!(": {label}"), Some(case))),
                ),
            }
        }
    }
    all
}

fn filled(value: &Value, case: Option<&Value>) -> Value {
    match (value, case) {
        (Value::String(text), Some(case)) if text == "$case" => case.clone(),
        (Value::Array(items), _) => items.iter().map(|item| filled(item, case)).collect(),
        (Value::Object(members), _) => members
            .iter()
            .map(|(name, item)| (name.clone(), filled(item, case)))
            .collect::<Object>()
            .into(),
        _ => value.clone(),
    }
}

/// `value` as an object that has no members but `keys`.
pub(crate) fn object<'a>(value: &'a Value, keys: &[&str]) -> Fallible<&'a Object> {
    let object = value
        .as_object()
        .ok_or_else(|| unreadable("an object", value))?;
    only(object, keys)?;
    Ok(object)
}

/// Refuses members that are not among `keys`.
pub(crate) fn only(object: &Object, keys: &[&str]) -> Fallible<()> {
    match object.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown member {key}")),
        None => Ok(()),
    }
}

pub(crate) fn text(value: &Value) -> Fallible<&str> {
    value.as_str().ok_or_else(|| unreadable("a text", value))
}

pub(crate) fn flag(object: &Object, name: &str, otherwise: bool) -> Fallible<bool> {
    match object.get(name) {
        None => Ok(otherwise),
        Some(value) => value
            .as_bool()
            .ok_or_else(|| unreadable("true or false", value)),
    }
}

/// A duration like `1h30s`, in ms.
pub(crate) fn duration(value: &Value) -> Fallible<Millis> {
    let said = text(value)?;
    let bad = || unreadable("a duration", value);
    let (sign, mut rest) = match said.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, said),
    };
    let mut ms = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let count: Millis = rest[..digits].parse().map_err(|_| bad())?;
        let units = [
            ("ms", 1),
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ];
        let (unit, factor) = units
            .into_iter()
            .find(|(unit, _)| rest[digits..].starts_with(unit))
            .ok_or_else(bad)?;
        ms += count * factor;
        rest = &rest[digits + unit.len()..];
    }
    if said.is_empty() {
        Err(bad())
    } else {
        Ok(sign * ms)
    }
}

pub(crate) fn duration_or(object: &Object, name: &str, otherwise: Millis) -> Fallible<Millis> {
    object.get(name).map_or(Ok(otherwise), duration)
}

pub(crate) fn count(value: &Value) -> Fallible<Millis> {
    value
        .as_i64()
        .ok_or_else(|| unreadable("a whole number", value))
}

/// `[least, most]`, or one value for both.
pub(crate) fn range(
    value: &Value,
    read: fn(&Value) -> Fallible<Millis>,
) -> Fallible<(Millis, Millis)> {
    match value.as_array().map(Vec::as_slice) {
        None => Ok((read(value)?, read(value)?)),
        Some([least, most]) => Ok((read(least)?, read(most)?)),
        Some(_) => Err(unreadable("a range", value)),
    }
}

pub(crate) fn unreadable(what: &str, value: &Value) -> String {
    format!("expected {what}, got {value}")
}
