//! Values from JSON and Protobuf.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::Undecodable;
use crate::payload::{Payload, PayloadRef};
use crate::schema::wire::{Reader, Value};

/// What can be read into a field.
pub(crate) trait Decode<'de> {
    /// Whether the JSON `null` is a value like another. Otherwise a member that is `null` counts as left out, as
    /// in the JSON that Protobuf defines.
    const NULL_IS_A_VALUE: bool = false;

    /// Reads one JSON value into `self`, which is the default before.
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error>;

    /// Reads one occurrence of a Protobuf field into `self`; repeated ones are added or merged.
    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable>;
}

/// What has fields.
pub(crate) trait Fields<'de> {
    /// Reads the value of the member `name`, or passes it over.
    fn json_member<A: MapAccess<'de>>(
        &mut self,
        name: &str,
        value: &mut Member<'_, A>,
    ) -> Result<(), A::Error>;

    /// Reads field `number`, or passes it over.
    fn protobuf_field(&mut self, number: u32, value: Value<'de>) -> Result<(), Undecodable>;
}

/// The value of a member of a JSON object, still to be read.
pub(crate) struct Member<'a, A> {
    map: &'a mut A,
    /// One bit for each field that was read.
    seen: &'a mut u64,
}

impl<'de, A: MapAccess<'de>> Member<'_, A> {
    pub(crate) fn read(
        &mut self,
        number: u32,
        field: &mut impl Decode<'de>,
    ) -> Result<(), A::Error> {
        let bit = 1 << number;
        if *self.seen & bit != 0 {
            return Err(A::Error::custom("a member stands twice"));
        }
        *self.seen |= bit;
        self.map.next_value_seed(Nullable(field))
    }

    pub(crate) fn skip(&mut self) -> Result<(), A::Error> {
        self.map.next_value::<IgnoredAny>().map(drop)
    }
}

/// Reads an object, and nothing else, into `message`.
pub(crate) fn read_object<'de, T: Fields<'de>, D: Deserializer<'de>>(
    message: &mut T,
    from: D,
) -> Result<(), D::Error> {
    struct Members<'a, T>(&'a mut T);

    impl<'de, T: Fields<'de>> Visitor<'de> for Members<'_, T> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut seen = 0;
            while let Some(Text(name)) = map.next_key()? {
                let mut value = Member {
                    map: &mut map,
                    seen: &mut seen,
                };
                self.0.json_member(&name, &mut value)?;
            }
            Ok(())
        }
    }

    from.deserialize_map(Members(message))
}

/// Reads all fields into `message`.
pub(crate) fn read_content<'de>(
    message: &mut impl Fields<'de>,
    mut from: Reader<'de>,
) -> Result<(), Undecodable> {
    while !from.is_empty() {
        let (number, value) = from.field()?;
        message.protobuf_field(number, value)?;
    }
    Ok(())
}

/// A place for the value of a member, or for `null`.
struct Nullable<'a, T>(&'a mut T);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for Nullable<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if T::NULL_IS_A_VALUE {
            self.0.read_json(from)
        } else {
            from.deserialize_option(self)
        }
    }
}

impl<'de, T: Decode<'de>> Visitor<'de> for Nullable<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or null")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.read_json(from)
    }
}

/// A place for a value.
pub(crate) struct Slot<'a, T>(pub(crate) &'a mut T);

impl<'de, T: Decode<'de>> DeserializeSeed<'de> for Slot<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.read_json(from)
    }
}

/// Text, borrowed unless it has escapes.
struct Text<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowing;

        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_string<E>(self, text: String) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text)))
            }
        }

        from.deserialize_str(Borrowing)
    }
}

macro_rules! integers {
    ($($type:ty),+) => { $(
        impl<'de> Decode<'de> for $type {
            fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
                *self = <$type>::deserialize(from)?;
                Ok(())
            }

            fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
                // Bits that do not fit are cut off, as the format defines.
                *self = from.varint()? as $type;
                Ok(())
            }
        }
    )+ };
}

integers!(u32, u64, i32, i64);

impl<'de> Decode<'de> for bool {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = Self::deserialize(from)?;
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        *self = from.varint()? != 0;
        Ok(())
    }
}

impl<'a, 'de: 'a> Decode<'de> for Cow<'a, str> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = Text::deserialize(from)?.0;
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        *self = Cow::Borrowed(from.text()?);
        Ok(())
    }
}

impl<'de> Decode<'de> for String {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = Text::deserialize(from)?.0.into_owned();
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        from.text()?.clone_into(self);
        Ok(())
    }
}

impl<'de> Decode<'de> for Arc<str> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = Text::deserialize(from)?.0.into();
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        *self = from.text()?.into();
        Ok(())
    }
}

impl<'a, 'de: 'a> Decode<'de> for PayloadRef<'a> {
    const NULL_IS_A_VALUE: bool = true;

    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = PayloadRef::of_document(<&RawValue>::deserialize(from)?);
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        *self = PayloadRef::unchecked(from.bytes()?);
        Ok(())
    }
}

impl<'de> Decode<'de> for Payload {
    const NULL_IS_A_VALUE: bool = true;

    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        *self = PayloadRef::of_document(<&RawValue>::deserialize(from)?).to_payload();
        Ok(())
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        *self = PayloadRef::unchecked(from.bytes()?).to_payload();
        Ok(())
    }
}

impl<'de, T: Decode<'de> + Default> Decode<'de> for Option<T> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        self.insert(T::default()).read_json(from)
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        self.get_or_insert_default().read_protobuf(from)
    }
}

impl<'de, T: Decode<'de>> Decode<'de> for Box<T> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        (**self).read_json(from)
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        (**self).read_protobuf(from)
    }
}

impl<'de, T: Decode<'de> + Clone> Decode<'de> for Arc<T> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        Self::make_mut(self).read_json(from)
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        Self::make_mut(self).read_protobuf(from)
    }
}

impl<'de, T: Decode<'de> + Default> Decode<'de> for Vec<T> {
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        struct Elements<'a, T>(&'a mut Vec<T>);
        struct Element<T>(PhantomData<T>);

        impl<'de, T: Decode<'de> + Default> DeserializeSeed<'de> for Element<T> {
            type Value = T;

            fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
                let mut element = T::default();
                element.read_json(from)?;
                Ok(element)
            }
        }

        impl<'de, T: Decode<'de> + Default> Visitor<'de> for Elements<'_, T> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                while let Some(element) = seq.next_element_seed(Element(PhantomData))? {
                    self.0.push(element);
                }
                Ok(())
            }
        }

        from.deserialize_seq(Elements(self))
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        let mut element = T::default();
        element.read_protobuf(from)?;
        self.push(element);
        Ok(())
    }
}

impl<'de, K, V> Decode<'de> for BTreeMap<K, V>
where
    K: Decode<'de> + Default + Ord + for<'a> From<&'a str>,
    V: Decode<'de> + Default,
{
    fn read_json<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        struct Entries<'a, K, V>(&'a mut BTreeMap<K, V>);

        impl<'de, K, V> Visitor<'de> for Entries<'_, K, V>
        where
            K: Ord + for<'a> From<&'a str>,
            V: Decode<'de> + Default,
        {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(Text(key)) = map.next_key()? {
                    let mut value = V::default();
                    map.next_value_seed(Slot(&mut value))?;
                    if self.0.insert(K::from(&key), value).is_some() {
                        return Err(A::Error::custom("a member stands twice"));
                    }
                }
                Ok(())
            }
        }

        from.deserialize_map(Entries(self))
    }

    fn read_protobuf(&mut self, from: Value<'de>) -> Result<(), Undecodable> {
        let mut entry = from.message()?;
        let (mut key, mut value) = (K::default(), V::default());
        while !entry.is_empty() {
            match entry.field()? {
                (1, field) => key.read_protobuf(field)?,
                (2, field) => value.read_protobuf(field)?,
                _ => {}
            }
        }
        self.insert(key, value);
        Ok(())
    }
}
