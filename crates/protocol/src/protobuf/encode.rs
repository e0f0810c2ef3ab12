//! Commands, replies and pushes into frames.

use bytes::BytesMut;

use crate::command::Command;
use crate::encoding::Route;
use crate::object::Publication;
use crate::push::Push;
use crate::reply::Reply;
use crate::schema::Encode;
use crate::schema::wire::{delimited_size, varint_size, write_delimited, write_varint};

/// The server's ping and the client's answer: a message without content.
pub const PING: &[u8] = &[0];

/// The field of a reply that holds a push.
const PUSH: u32 = 4;
/// The fields of a push.
const ID: u32 = 1;
const CHANNEL: u32 = 2;
const PUBLICATION: u32 = 4;

/// Appends `command` after its length.
pub fn encode_command(command: &Command<'_>, out: &mut BytesMut) {
    let member = command.method.member();
    let size = present_size(&command.id, ID)
        + member.map_or(0, |(number, _, content)| content.field_size(number));
    start(size, out);
    write_present(&command.id, ID, out);
    if let Some((number, _, content)) = member {
        content.write_field(number, out);
    }
}

/// Appends `reply` after its length.
pub fn encode_reply(reply: &Reply, out: &mut BytesMut) {
    let (number, _, content) = reply.body.member();
    start(
        present_size(&reply.id, ID) + content.field_size(number),
        out,
    );
    write_present(&reply.id, ID, out);
    content.write_field(number, out);
}

/// Appends `push` after its length.
pub fn encode_push(push: &Push, out: &mut BytesMut) {
    let to = if push.id == 0 {
        Route::Channel(&push.channel)
    } else {
        Route::Id(push.id)
    };
    let (number, _, content) = push.body.member();
    encode(to, number, content, out);
}

/// Appends the push of `publication` after its length.
pub fn encode_publication(to: Route<'_>, publication: &Publication, out: &mut BytesMut) {
    encode(to, PUBLICATION, publication, out);
}

fn encode<T: Encode + ?Sized>(to: Route<'_>, number: u32, content: &T, out: &mut BytesMut) {
    let route = match &to {
        Route::Id(id) => present_size(id, ID),
        Route::Channel(channel) => present_size(*channel, CHANNEL),
    };
    let push = route + content.field_size(number);
    start(delimited_size(PUSH, push), out);
    write_delimited(PUSH, push, out);
    match &to {
        Route::Id(id) => write_present(id, ID, out),
        Route::Channel(channel) => write_present(*channel, CHANNEL, out),
    }
    content.write_field(number, out);
}

fn start(size: usize, out: &mut BytesMut) {
    out.reserve(varint_size(size as u64) + size);
    write_varint(size as u64, out);
}

fn present_size<T: Encode + ?Sized>(value: &T, number: u32) -> usize {
    if value.is_absent() {
        0
    } else {
        value.field_size(number)
    }
}

fn write_present<T: Encode + ?Sized>(value: &T, number: u32, out: &mut BytesMut) {
    if !value.is_absent() {
        value.write_field(number, out);
    }
}
