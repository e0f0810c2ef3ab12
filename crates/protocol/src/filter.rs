//! Which publications a subscription wants, by their tags: a [`FilterNode`], checked and kept.
//!
//! A comparison with a tag that the publication does not have is `false`, save `neq`, `nin` and `nex`.
//! `lt`, `lte`, `gt` and `gte` compare decimal numbers exactly, and are `false` when either side is
//! something else.

use std::cmp::Ordering;

use crate::object::{FilterNode, Tags};

/// How deep a filter may nest.
pub const MAX_DEPTH: usize = 16;
/// How many nodes a filter may have.
pub const MAX_NODES: usize = 128;
/// How many values all `in` and `nin` of a filter may have.
pub const MAX_VALUES: usize = 1024;

/// A filter that means something. Equal filters let the same publications through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Filter(Node);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Node {
    And(Box<[Node]>),
    Or(Box<[Node]>),
    Not(Box<Node>),
    Leaf { key: Box<str>, test: Test },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Test {
    Equal(Box<str>),
    NotEqual(Box<str>),
    In(Box<[Box<str>]>),
    NotIn(Box<[Box<str>]>),
    Exists,
    NotExists,
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
    Less(Box<str>),
    LessOrEqual(Box<str>),
    Greater(Box<str>),
    GreaterOrEqual(Box<str>),
}

/// A filter without a meaning. The subscription is refused with [`crate::ErrorCode::BadRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFilter {
    /// An `op` or `cmp` that is not known.
    #[error("unknown operation")]
    Operation,
    /// `and` and `or` have at least one node, `not` has exactly one.
    #[error("the wrong number of nodes")]
    Nodes,
    /// A comparison without a key.
    #[error("a comparison without a key")]
    Key,
    /// `in` and `nin` have `vals`, `ex` and `nex` have nothing, all others have `val`.
    #[error("the wrong values for the comparison")]
    Values,
    /// Larger than [`MAX_DEPTH`], [`MAX_NODES`] or [`MAX_VALUES`].
    #[error("the filter is too large")]
    TooLarge,
}

impl Filter {
    /// The filter that `node` describes.
    pub fn new(node: &FilterNode<'_>) -> Result<Self, BadFilter> {
        let mut left = Left {
            nodes: MAX_NODES,
            values: MAX_VALUES,
        };
        left.node(node, MAX_DEPTH).map(Self)
    }

    /// Whether publications with these tags are wanted.
    pub fn matches(&self, tags: &Tags) -> bool {
        self.0.matches(tags)
    }
}

/// How much a filter may still have.
struct Left {
    nodes: usize,
    values: usize,
}

impl Left {
    fn node(&mut self, node: &FilterNode<'_>, depth: usize) -> Result<Node, BadFilter> {
        self.nodes = self.nodes.checked_sub(1).ok_or(BadFilter::TooLarge)?;
        let depth = depth.checked_sub(1).ok_or(BadFilter::TooLarge)?;
        let mut inner = || -> Result<Box<[Node]>, BadFilter> {
            if node.nodes.is_empty() {
                return Err(BadFilter::Nodes);
            }
            node.nodes
                .iter()
                .map(|node| self.node(node, depth))
                .collect()
        };
        Ok(match &*node.op {
            "and" => Node::And(inner()?),
            "or" => Node::Or(inner()?),
            "not" => match &*node.nodes {
                [only] => Node::Not(Box::new(self.node(only, depth)?)),
                _ => return Err(BadFilter::Nodes),
            },
            "" => {
                let test = self.test(node)?;
                if node.key.is_empty() && !matches!(test, Test::Exists | Test::NotExists) {
                    return Err(BadFilter::Key);
                }
                let key = (*node.key).into();
                Node::Leaf { key, test }
            }
            _ => return Err(BadFilter::Operation),
        })
    }

    fn test(&mut self, node: &FilterNode<'_>) -> Result<Test, BadFilter> {
        let (value, values) = (&*node.val, &node.vals[..]);
        let of_one: fn(Box<str>) -> Test = match &*node.cmp {
            "eq" => Test::Equal,
            "neq" => Test::NotEqual,
            "sw" => Test::StartsWith,
            "ew" => Test::EndsWith,
            "ct" => Test::Contains,
            "lt" => Test::Less,
            "lte" => Test::LessOrEqual,
            "gt" => Test::Greater,
            "gte" => Test::GreaterOrEqual,
            of_many @ ("in" | "nin") => {
                if !value.is_empty() || values.is_empty() {
                    return Err(BadFilter::Values);
                }
                self.values = self
                    .values
                    .checked_sub(values.len())
                    .ok_or(BadFilter::TooLarge)?;
                let mut values: Vec<Box<str>> =
                    values.iter().map(|value| (**value).into()).collect();
                values.sort_unstable();
                values.dedup();
                let values = values.into();
                return Ok(if of_many == "in" {
                    Test::In(values)
                } else {
                    Test::NotIn(values)
                });
            }
            of_none @ ("ex" | "nex") => {
                if !value.is_empty() || !values.is_empty() {
                    return Err(BadFilter::Values);
                }
                return Ok(if of_none == "ex" {
                    Test::Exists
                } else {
                    Test::NotExists
                });
            }
            _ => return Err(BadFilter::Operation),
        };
        if value.is_empty() || !values.is_empty() {
            return Err(BadFilter::Values);
        }
        Ok(of_one(value.into()))
    }
}

impl Node {
    fn matches(&self, tags: &Tags) -> bool {
        match self {
            Self::And(nodes) => nodes.iter().all(|node| node.matches(tags)),
            Self::Or(nodes) => nodes.iter().any(|node| node.matches(tags)),
            Self::Not(node) => !node.matches(tags),
            Self::Leaf { key, test } => test.holds(tags.get(&**key).map(String::as_str)),
        }
    }
}

impl Test {
    fn holds(&self, tag: Option<&str>) -> bool {
        let Some(tag) = tag else {
            return matches!(self, Self::NotEqual(_) | Self::NotIn(_) | Self::NotExists);
        };
        let is_in =
            |values: &[Box<str>]| values.binary_search_by(|value| (**value).cmp(tag)).is_ok();
        match self {
            Self::Equal(value) => tag == &**value,
            Self::NotEqual(value) => tag != &**value,
            Self::In(values) => is_in(values),
            Self::NotIn(values) => !is_in(values),
            Self::Exists => true,
            Self::NotExists => false,
            Self::StartsWith(value) => tag.starts_with(&**value),
            Self::EndsWith(value) => tag.ends_with(&**value),
            Self::Contains(value) => tag.contains(&**value),
            Self::Less(value) => compare(tag, value).is_some_and(Ordering::is_lt),
            Self::LessOrEqual(value) => compare(tag, value).is_some_and(Ordering::is_le),
            Self::Greater(value) => compare(tag, value).is_some_and(Ordering::is_gt),
            Self::GreaterOrEqual(value) => compare(tag, value).is_some_and(Ordering::is_ge),
        }
    }
}

/// A decimal number, by its text.
#[derive(Clone, Copy)]
struct Decimal<'a> {
    negative: bool,
    /// Without zeros in front.
    whole: &'a str,
    /// Without zeros at the end.
    fraction: &'a str,
}

impl<'a> Decimal<'a> {
    fn new(text: &'a str) -> Option<Self> {
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let (whole, fraction) = (
            whole.trim_start_matches('0'),
            fraction.trim_end_matches('0'),
        );
        Some(Self {
            // There is one zero only.
            negative: negative && !(whole.is_empty() && fraction.is_empty()),
            whole,
            fraction,
        })
    }
}

/// `None` unless both are decimal numbers, of any length.
fn compare(a: &str, b: &str) -> Option<Ordering> {
    let (a, b) = (Decimal::new(a)?, Decimal::new(b)?);
    let size = |number: Decimal<'_>| number.whole.len();
    let magnitude = size(a)
        .cmp(&size(b))
        .then_with(|| a.whole.cmp(b.whole))
        .then_with(|| a.fraction.cmp(b.fraction));
    Some(match (a.negative, b.negative) {
        (false, false) => magnitude,
        (true, true) => magnitude.reverse(),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Encoding, Method};

    fn filter(json: &str) -> Result<Filter, BadFilter> {
        let frame = format!(r#"{{"id":1,"subscribe":{{"tf":{json}}}}}"#);
        let command = Encoding::Json.commands(frame.as_bytes()).next();
        let Some(Ok(Method::Subscribe(request))) = command.map(|read| read.map(|read| read.method))
        else {
            panic!("{frame}")
        };
        Filter::new(&request.filter.expect("it is there"))
    }

    fn wants(json: &str, tags: &[(&str, &str)]) -> bool {
        let tags = tags
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        filter(json).expect(json).matches(&tags)
    }

    #[test]
    fn comparisons() {
        for (cmp, value, tag, with_tag, without) in [
            ("eq", "a", "a", true, false),
            ("eq", "a", "ab", false, false),
            ("neq", "a", "a", false, true),
            ("neq", "a", "b", true, true),
            ("sw", "a", "ab", true, false),
            ("sw", "b", "ab", false, false),
            ("ew", "b", "ab", true, false),
            ("ct", "b", "abc", true, false),
            ("ct", "d", "abc", false, false),
            ("lt", "10", "9.99", true, false),
            ("lt", "10", "10", false, false),
            ("lte", "10", "10.0", true, false),
            ("gt", "-2", "-1.5", true, false),
            ("gt", "5", "x", false, false),
            ("gt", "x", "5", false, false),
            ("gte", "007", "7", true, false),
        ] {
            let json = format!(r#"{{"key":"k","cmp":"{cmp}","val":"{value}"}}"#);
            assert_eq!(wants(&json, &[("k", tag)]), with_tag, "{json} {tag}");
            assert_eq!(wants(&json, &[("other", tag)]), without, "{json} without");
        }
        for (cmp, in_list, not_in_list, without) in
            [("in", true, false, false), ("nin", false, true, true)]
        {
            let json = format!(r#"{{"key":"k","cmp":"{cmp}","vals":["b","","a"]}}"#);
            assert_eq!(wants(&json, &[("k", "a")]), in_list);
            assert_eq!(wants(&json, &[("k", "")]), in_list);
            assert_eq!(wants(&json, &[("k", "c")]), not_in_list);
            assert_eq!(wants(&json, &[]), without);
        }
        assert!(wants(r#"{"key":"k","cmp":"ex"}"#, &[("k", "")]));
        assert!(!wants(r#"{"key":"k","cmp":"ex"}"#, &[]));
        assert!(!wants(r#"{"key":"k","cmp":"nex"}"#, &[("k", "")]));
        assert!(wants(r#"{"key":"k","cmp":"nex"}"#, &[]));
    }

    #[test]
    fn combinations() {
        let both = r#"{"op":"and","nodes":[{"key":"a","cmp":"eq","val":"1"},{"op":"not","nodes":[{"key":"b","cmp":"ex"}]}]}"#;
        assert!(wants(both, &[("a", "1")]));
        assert!(!wants(both, &[("a", "1"), ("b", "")]));
        assert!(!wants(both, &[("a", "2")]));
        let either =
            r#"{"op":"or","nodes":[{"key":"a","cmp":"eq","val":"1"},{"key":"b","cmp":"ex"}]}"#;
        assert!(wants(either, &[("b", "")]));
        assert!(!wants(either, &[("a", "2")]));
    }

    #[test]
    fn numbers_of_any_length_compare_exactly() {
        let long = "1".repeat(300);
        let longer = format!("{long}.{}1", "0".repeat(300));
        for (a, b, order) in [
            ("0", "-0.00", Some(Ordering::Equal)),
            ("+1", "1", Some(Ordering::Equal)),
            ("-2", "-10", Some(Ordering::Greater)),
            ("-1", "0", Some(Ordering::Less)),
            ("0.1", "0.09", Some(Ordering::Greater)),
            (
                "18446744073709551617",
                "18446744073709551616",
                Some(Ordering::Greater),
            ),
            (&long, &longer, Some(Ordering::Less)),
            ("1e3", "1", None),
            ("", "1", None),
            ("-", "1", None),
            ("1.", "1", None),
            (".5", "1", None),
            ("1.2.3", "1", None),
            ("--1", "1", None),
            ("NaN", "1", None),
            ("٣", "1", None),
        ] {
            assert_eq!(compare(a, b), order, "{a} {b}");
            assert_eq!(compare(b, a), order.map(Ordering::reverse), "{b} {a}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for (json, why) in [
            ("{}", BadFilter::Operation),
            (r#"{"op":"xor","nodes":[]}"#, BadFilter::Operation),
            (
                r#"{"key":"k","cmp":"like","val":"a"}"#,
                BadFilter::Operation,
            ),
            (r#"{"op":"and"}"#, BadFilter::Nodes),
            (r#"{"op":"or","nodes":[]}"#, BadFilter::Nodes),
            (r#"{"op":"not"}"#, BadFilter::Nodes),
            (
                r#"{"op":"not","nodes":[{"cmp":"ex"},{"cmp":"ex"}]}"#,
                BadFilter::Nodes,
            ),
            (r#"{"cmp":"eq","val":"a"}"#, BadFilter::Key),
            (r#"{"key":"k","cmp":"eq"}"#, BadFilter::Values),
            (
                r#"{"key":"k","cmp":"eq","val":"a","vals":["b"]}"#,
                BadFilter::Values,
            ),
            (r#"{"key":"k","cmp":"in"}"#, BadFilter::Values),
            (
                r#"{"key":"k","cmp":"nin","val":"a","vals":["b"]}"#,
                BadFilter::Values,
            ),
            (r#"{"key":"k","cmp":"ex","val":"a"}"#, BadFilter::Values),
        ] {
            assert_eq!(filter(json), Err(why), "{json}");
        }
    }

    #[test]
    fn size_is_bounded() {
        let leaf = r#"{"cmp":"ex"}"#;
        let nested = |depth: usize| {
            format!(
                "{}{leaf}{}",
                r#"{"op":"not","nodes":["#.repeat(depth),
                "]}".repeat(depth)
            )
        };
        assert!(filter(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(filter(&nested(MAX_DEPTH)), Err(BadFilter::TooLarge));
        let wide =
            |width: usize| format!(r#"{{"op":"or","nodes":[{}]}}"#, vec![leaf; width].join(","));
        assert!(filter(&wide(MAX_NODES - 1)).is_ok());
        assert_eq!(filter(&wide(MAX_NODES)), Err(BadFilter::TooLarge));
        let values = |count: usize| {
            format!(
                r#"{{"key":"k","cmp":"in","vals":[{}]}}"#,
                vec!["\"a\""; count].join(",")
            )
        };
        assert!(filter(&values(MAX_VALUES)).is_ok());
        assert_eq!(filter(&values(MAX_VALUES + 1)), Err(BadFilter::TooLarge));
    }

    #[test]
    fn the_order_of_values_makes_no_difference() {
        let some = filter(r#"{"key":"k","cmp":"in","vals":["a","b"]}"#);
        assert_eq!(
            some,
            filter(r#"{"key":"k","cmp":"in","vals":["b","a","b"]}"#)
        );
    }
}
