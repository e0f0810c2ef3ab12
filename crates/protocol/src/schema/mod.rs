//! How messages are declared. `message!` takes a struct whose fields carry their number in Protobuf
//! and their name in JSON, and makes both encodings of it: so the two cannot drift apart, and each
//! message reads like the table in the protocol's schema.
//!
//! - [`Encode`]: a value into JSON and Protobuf. What equals its type's default is absent from both,
//!   save where a field is declared `always`, which keeps it in JSON.
//! - [`Decode`]: a value from either. Unknown fields are passed over. In JSON a member that stands
//!   twice is an error, because two readers could disagree on which one holds; in Protobuf the later
//!   one wins or is merged, as the format defines.
//! - [`wire`]: the few rules of Protobuf's own.

mod decode;
mod encode;
pub(crate) mod wire;

pub(crate) use decode::{Decode, Fields, read_content, read_object};
pub(crate) use encode::{Encode, Message, write_json_string, write_number};

/// Declares a message. Each field is preceded by `[number "name"]`, or `[number "name" always]`.
macro_rules! message {
    (
        $(#[$meta:meta])*
        $visible:vis struct $name:ident $(<$life:lifetime>)? {
            $(
                $(#[$about:meta])*
                [$number:literal $json:literal $($always:ident)?]
                $shown:vis $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        $visible struct $name $(<$life>)? {
            $( $(#[$about])* $shown $field: $type, )*
        }

        impl $(<$life>)? $crate::schema::Encode for $name $(<$life>)? {
            fn is_absent(&self) -> bool {
                false
            }

            fn write_json(&self, out: &mut ::bytes::BytesMut) -> Result<(), $crate::NotJson> {
                // Every member begins with a comma; the first one's becomes the bracket.
                let start = out.len();
                $(
                    if $crate::schema::stands!(self.$field $(, $always)?) {
                        out.extend_from_slice(concat!(",\"", $json, "\":").as_bytes());
                        $crate::schema::Encode::write_json(&self.$field, out)?;
                    }
                )*
                if out.len() == start {
                    out.extend_from_slice(b"{");
                } else {
                    out[start] = b'{';
                }
                out.extend_from_slice(b"}");
                Ok(())
            }

            fn field_size(&self, number: u32) -> usize {
                $crate::schema::wire::delimited_size(number, $crate::schema::Message::content_size(self))
            }

            fn write_field(&self, number: u32, out: &mut ::bytes::BytesMut) {
                use $crate::schema::Message as _;
                $crate::schema::wire::write_delimited(number, self.content_size(), out);
                self.write_content(out);
            }
        }

        impl $(<$life>)? $crate::schema::Message for $name $(<$life>)? {
            fn content_size(&self) -> usize {
                0 $(
                    + if $crate::schema::Encode::is_absent(&self.$field) {
                        0
                    } else {
                        $crate::schema::Encode::field_size(&self.$field, $number)
                    }
                )*
            }

            fn write_content(&self, out: &mut ::bytes::BytesMut) {
                let _ = &out;
                $(
                    if !$crate::schema::Encode::is_absent(&self.$field) {
                        $crate::schema::Encode::write_field(&self.$field, $number, out);
                    }
                )*
            }
        }

        impl<'de $(: $life, $life)?> $crate::schema::Fields<'de> for $name $(<$life>)? {
            fn json_member<A: ::serde::de::MapAccess<'de>>(
                &mut self,
                name: &str,
                value: &mut $crate::schema::Member<'_, A>,
            ) -> Result<(), A::Error> {
                match name {
                    $( $json => value.read($number, &mut self.$field), )*
                    _ => value.skip(),
                }
            }

            fn protobuf_field(
                &mut self,
                number: u32,
                value: $crate::schema::wire::Value<'de>,
            ) -> Result<(), $crate::Undecodable> {
                // A message may have no fields.
                let _ = value;
                match number {
                    $( $number => $crate::schema::Decode::read_protobuf(&mut self.$field, value), )*
                    _ => Ok(()),
                }
            }
        }

        impl<'de $(: $life, $life)?> $crate::schema::Decode<'de> for $name $(<$life>)? {
            fn read_json<D: ::serde::Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
                $crate::schema::read_object(self, from)
            }

            fn read_protobuf(
                &mut self,
                from: $crate::schema::wire::Value<'de>,
            ) -> Result<(), $crate::Undecodable> {
                $crate::schema::read_content(self, from.message()?)
            }
        }
    };
}

/// Whether a field stands in JSON.
macro_rules! stands {
    ($field:expr) => {
        !$crate::schema::Encode::is_absent(&$field)
    };
    ($field:expr, always) => {
        true
    };
}

pub(crate) use decode::Member;
pub(crate) use {message, stands};

message! {
    /// A message without fields that matter.
    pub(crate) struct Nothing {}
}
