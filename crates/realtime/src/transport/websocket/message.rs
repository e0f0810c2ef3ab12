//! Frames into messages: fragments, control frames in between, compression, UTF-8.

use std::borrow::Cow;

use crate::transport::websocket::deflate;
use crate::transport::websocket::frame::{Header, Opcode, Violation, unmask};

/// Puts messages together. Empty, and without memory of its own, while no message is under way.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    fragments: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    payload: Vec<u8>,
    /// It is compressed; whether it is text shows when it is whole.
    compressed: bool,
    /// It has to be text.
    text: bool,
    /// How much of it is known to be UTF-8: what follows is at most a character cut in two. `None`: it
    /// need not be.
    checked: Option<usize>,
}

/// What a client said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'b> {
    /// A message. Text ones are UTF-8, and binary ones too where the encoding is JSON either way.
    Message(Cow<'b, [u8]>),
    /// A ping of the transport, to be answered with the same payload.
    Ping(&'b [u8]),
    /// A pong of the transport, or a fragment: nothing to do.
    Nothing,
    /// The client closes; what the answer shall carry.
    Close(Option<u16>),
}

impl Assembler {
    /// Takes the frame that `bytes` begin with: what it means and how long it was; `None`: there is
    /// more of it to come. Messages are bounded by `limit`; with `text_only`, binary ones are held to
    /// UTF-8, too; with `deflate`, they may be compressed.
    pub(super) fn take<'b>(
        &mut self,
        bytes: &'b mut [u8],
        limit: usize,
        text_only: bool,
        deflate: bool,
    ) -> Result<Option<(Event<'b>, usize)>, Violation> {
        // Against the whole message, so that a client cannot get around the bound in fragments.
        let so_far = self
            .fragments
            .as_ref()
            .map_or(0, |fragments| fragments.payload.len());
        let Some(header) = Header::read(bytes, limit, deflate)? else {
            return Ok(None);
        };
        let starts = matches!(header.opcode, Opcode::Text | Opcode::Binary);
        if starts && self.fragments.is_some() {
            return Err(Violation::Protocol("a message within a message"));
        }
        if header.opcode == Opcode::Continuation {
            if self.fragments.is_none() {
                return Err(Violation::Protocol("a fragment of nothing"));
            }
            if so_far + header.payload > limit {
                return Err(Violation::TooBig);
            }
        }
        let end = header.size + header.payload;
        let Some(payload) = bytes.get_mut(header.size..end) else {
            return Ok(None);
        };
        unmask(payload, header.mask);
        let event = match header.opcode {
            Opcode::Ping => Event::Ping(payload),
            Opcode::Pong => Event::Nothing,
            Opcode::Close => Event::Close(close_code(payload)?),
            Opcode::Text | Opcode::Binary if header.fin => {
                let message = if header.compressed {
                    Cow::Owned(deflate::inflate(payload, limit)?)
                } else {
                    Cow::Borrowed(&*payload)
                };
                if text_only || header.opcode == Opcode::Text {
                    std::str::from_utf8(&message).map_err(|_| Violation::NotUtf8)?;
                }
                Event::Message(message)
            }
            Opcode::Text | Opcode::Binary | Opcode::Continuation => {
                let text = text_only || header.opcode == Opcode::Text;
                let fragments = self.fragments.get_or_insert_with(|| {
                    Box::new(Fragments {
                        payload: Vec::new(),
                        compressed: header.compressed,
                        text,
                        checked: (text && !header.compressed).then_some(0),
                    })
                });
                fragments.add(payload)?;
                if header.fin {
                    if !fragments.ends_whole() {
                        return Err(Violation::NotUtf8);
                    }
                    let message = match self.fragments.take() {
                        None => Vec::new(),
                        Some(fragments) => fragments.into_message(limit)?,
                    };
                    Event::Message(Cow::Owned(message))
                } else {
                    Event::Nothing
                }
            }
        };
        Ok(Some((event, end)))
    }
}

impl Fragments {
    fn add(&mut self, payload: &[u8]) -> Result<(), Violation> {
        self.payload.extend_from_slice(payload);
        let Some(checked) = &mut self.checked else {
            return Ok(());
        };
        match std::str::from_utf8(&self.payload[*checked..]) {
            Ok(text) => *checked += text.len(),
            // A character that goes on in the next fragment.
            Err(error) if error.error_len().is_none() => *checked += error.valid_up_to(),
            Err(_) => return Err(Violation::NotUtf8),
        }
        Ok(())
    }

    /// What they say together.
    fn into_message(self, limit: usize) -> Result<Vec<u8>, Violation> {
        if !self.compressed {
            return Ok(self.payload);
        }
        let message = deflate::inflate(&self.payload, limit)?;
        if self.text && std::str::from_utf8(&message).is_err() {
            return Err(Violation::NotUtf8);
        }
        Ok(message)
    }

    /// Whether it does not end within a character.
    fn ends_whole(&self) -> bool {
        self.checked
            .is_none_or(|checked| checked == self.payload.len())
    }
}

/// The code of a close frame, checked with its reason.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Protocol("half a close code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("a close code that nobody may send"));
            }
            if std::str::from_utf8(reason).is_err() {
                return Err(Violation::NotUtf8);
            }
            Ok(Some(code))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: usize = 1000;

    /// A client's frame.
    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0xfe);
                frame.extend((length as u16).to_be_bytes());
            }
        }
        frame.extend(mask);
        let start = frame.len();
        frame.extend_from_slice(payload);
        unmask(&mut frame[start..], mask);
        frame
    }

    /// Everything that `frames` mean, in words.
    fn meaning(frames: &[Vec<u8>]) -> Result<Vec<String>, u16> {
        let mut assembler = Assembler::default();
        let mut bytes = frames.concat();
        let mut rest = &mut bytes[..];
        let mut meaning = Vec::new();
        while let Some((event, size)) = assembler
            .take(rest, LIMIT, true, true)
            .map_err(Violation::code)?
        {
            match event {
                Event::Message(text) => {
                    meaning.push(String::from_utf8(text.into_owned()).expect("UTF-8"));
                }
                Event::Ping(payload) => {
                    meaning.push(format!("ping {}", String::from_utf8_lossy(payload)));
                }
                Event::Close(code) => meaning.push(format!("close {code:?}")),
                Event::Nothing => {}
            }
            rest = &mut rest[size..];
        }
        assert!(rest.is_empty(), "a frame was left over");
        Ok(meaning)
    }

    fn means(frames: &[Vec<u8>], expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|&text| text.to_owned()).collect();
        assert_eq!(meaning(frames), Ok(expected));
    }

    #[test]
    fn whole_messages_and_fragments() {
        means(&[masked(0x81, b"hello"), masked(0x82, b"")], &["hello", ""]);
        means(
            &[masked(0x01, b"he"), masked(0x00, b"l"), masked(0x80, b"lo")],
            &["hello"],
        );
        means(
            &[
                masked(0x01, b"he"),
                masked(0x89, b"now"),
                masked(0x8a, b"unasked"),
                masked(0x80, b"llo"),
                masked(0x81, b"next"),
            ],
            &["ping now", "hello", "next"],
        );
    }

    #[test]
    fn binary_messages_need_not_be_text() {
        let mut assembler = Assembler::default();
        for mut frame in [masked(0x02, b"\xff"), masked(0x80, b"\xc3")] {
            let (event, _) = assembler
                .take(&mut frame, LIMIT, false, false)
                .expect("honest frames")
                .expect("whole frames");
            match event {
                Event::Nothing => {}
                other => assert_eq!(other, Event::Message(Cow::Borrowed(&b"\xff\xc3"[..]))),
            }
        }
    }

    #[test]
    fn fragments_out_of_order() {
        assert_eq!(meaning(&[masked(0x80, b"x")]), Err(1002));
        assert_eq!(meaning(&[masked(0x00, b"x")]), Err(1002));
        assert_eq!(
            meaning(&[masked(0x01, b"x"), masked(0x81, b"y")]),
            Err(1002)
        );
        assert_eq!(
            meaning(&[masked(0x81, b"x"), masked(0x80, b"y")]),
            Err(1002)
        );
    }

    #[test]
    fn utf8_across_fragments() {
        let word = "häßlich 🦀".as_bytes();
        for cut in 0..=word.len() {
            means(
                &[masked(0x01, &word[..cut]), masked(0x80, &word[cut..])],
                &["häßlich 🦀"],
            );
        }
        assert_eq!(meaning(&[masked(0x81, b"\xff")]), Err(1007));
        assert_eq!(meaning(&[masked(0x82, b"\xed\xa0\x80")]), Err(1007));
        assert_eq!(
            meaning(&[masked(0x01, b"\xc3"), masked(0x00, b"(")]),
            Err(1007),
            "told before the message ends"
        );
        assert_eq!(
            meaning(&[masked(0x01, b"ok"), masked(0x80, b"\xc3")]),
            Err(1007),
            "a message that ends within a character"
        );
    }

    #[test]
    fn the_bound_holds_for_the_sum_of_fragments() {
        means(&[masked(0x81, &[b'x'; LIMIT])], &[&"x".repeat(LIMIT)]);
        assert_eq!(meaning(&[masked(0x81, &[b'x'; LIMIT + 1])]), Err(1009));
        let half = [b'x'; LIMIT / 2];
        means(
            &[masked(0x01, &half), masked(0x80, &half)],
            &[&"x".repeat(LIMIT)],
        );
        assert_eq!(
            meaning(&[masked(0x01, &half), masked(0x00, &half), masked(0x80, b"x")]),
            Err(1009)
        );
    }

    #[test]
    fn compressed_messages_in_one_piece_and_in_fragments() {
        let text = "häßlich ".repeat(50);
        let packed = deflate::compress(text.as_bytes()).expect("shorter");
        means(
            &[masked(0xc1, &packed), masked(0x81, b"plain")],
            &[&text, "plain"],
        );
        for cut in 0..=packed.len() {
            means(
                &[
                    masked(0x41, &packed[..cut]),
                    masked(0x89, b"now"),
                    masked(0x80, &packed[cut..]),
                ],
                &["ping now", &text],
            );
        }
        assert_eq!(
            meaning(&[masked(0x41, &packed), masked(0xc0, b"")]),
            Err(1002),
            "said at the beginning alone"
        );
        assert_eq!(meaning(&[masked(0xc1, b"plain text")]), Err(1007));
        let binary = deflate::compress(&[0xff; 100]).expect("shorter");
        assert_eq!(meaning(&[masked(0xc1, &binary)]), Err(1007), "not UTF-8");
        assert_eq!(
            meaning(&[masked(0x41, &binary), masked(0x80, b"")]),
            Err(1007)
        );
        let bomb = deflate::compress(&[b'x'; 10 * LIMIT + 1]).expect("shorter");
        assert_eq!(meaning(&[masked(0xc1, &bomb)]), Err(1009));
        assert_eq!(
            meaning(&[masked(0x41, &bomb), masked(0x80, b"")]),
            Err(1009)
        );
    }

    #[test]
    fn close_frames() {
        means(&[masked(0x88, b"")], &["close None"]);
        means(&[masked(0x88, b"\x03\xe8bye")], &["close Some(1000)"]);
        for code in [1000, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999] {
            let frame = masked(0x88, &u16::to_be_bytes(code));
            means(&[frame], &[&format!("close Some({code})")]);
        }
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            assert_eq!(
                meaning(&[masked(0x88, &u16::to_be_bytes(code))]),
                Err(1002),
                "{code}"
            );
        }
        assert_eq!(meaning(&[masked(0x88, b"\x03")]), Err(1002));
        assert_eq!(meaning(&[masked(0x88, b"\x03\xe8\xff")]), Err(1007));
    }

    proptest! {
        /// However a text is cut into fragments and the fragments into reads, it arrives.
        #[test]
        fn any_cut_arrives(text: String, cuts in proptest::collection::vec(0_usize..64, 0..6), chunk in 1_usize..40) {
            let bytes = &text.as_bytes()[..text.len().min(LIMIT)];
            prop_assume!(std::str::from_utf8(bytes).is_ok());
            let mut edges: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            edges.extend([0, bytes.len()]);
            edges.sort_unstable();
            let pieces: Vec<&[u8]> = edges.windows(2).map(|edge| &bytes[edge[0]..edge[1]]).collect();
            let mut wire = Vec::new();
            for (at, piece) in pieces.iter().enumerate() {
                let fin = if at + 1 == pieces.len() { 0x80 } else { 0 };
                wire.extend(masked(fin | u8::from(at == 0), piece));
            }
            let (mut assembler, mut pending, mut got) = (Assembler::default(), Vec::new(), None);
            for read in wire.chunks(chunk) {
                pending.extend_from_slice(read);
                while let Some((event, size)) = assembler.take(&mut pending, LIMIT, true, true).expect("honest frames") {
                    if let Event::Message(text) = event {
                        got = Some(text.into_owned());
                    }
                    pending.drain(..size);
                }
            }
            prop_assert_eq!(got.as_deref(), Some(bytes));
        }

        #[test]
        fn noise_never_panics(mut noise in proptest::collection::vec(any::<u8>(), 0..512)) {
            let mut assembler = Assembler::default();
            let mut rest = &mut noise[..];
            while let Ok(Some((_, size))) = assembler.take(rest, LIMIT, false, true) {
                rest = &mut rest[size..];
            }
        }
    }
}
