//! Compressed messages (permessage-deflate, RFC 7692).
//!
//! Each message is compressed by itself, in both directions: no connection owns a window, only each worker
//! thread, once it has met a compressed message. And what is sent to many is compressed once, because all
//! clients have the same window: the largest that the stock client for Python takes.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use crate::transport::websocket::frame::Violation;

/// The name of the extension.
const NAME: &str = "permessage-deflate";

/// How large the window is that is compressed with: 4 KiB.
const WINDOW_BITS: u8 = 12;

/// How many times its bound a message may have inflated.
const EXPANSION: usize = 10;

/// What every compressed message ends with, and what is not sent: an empty block.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

thread_local! {
    static COMPRESS: RefCell<Compress> =
        RefCell::new(Compress::new_with_window_bits(Compression::fast(), false, WINDOW_BITS));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

/// The answer to the first of a client's offers that can be accepted; `None`: it goes on without.
pub(super) fn negotiate(headers: &HeaderMap) -> Option<&'static str> {
    headers
        .get_all(SEC_WEBSOCKET_EXTENSIONS)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(accept)
}

/// The answer to one offer. What is not understood in it is a reason to refuse it.
fn accept(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(NAME) {
        return None;
    }
    let mut seen = Vec::new();
    let mut asks_for_window = false;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim().trim_matches('"'))),
            None => (part, None),
        };
        let name = name.to_ascii_lowercase();
        let bits = value.map(|value| match value.as_bytes() {
            [b'8' | b'9'] | [b'1', b'0'..=b'5'] => value.parse::<u8>().ok(),
            _ => None,
        });
        match (name.as_str(), bits) {
            ("server_no_context_takeover" | "client_no_context_takeover", None)
            // Whatever it uses, up to the largest, can be inflated.
            | ("client_max_window_bits", None | Some(Some(_))) => {}
            ("server_max_window_bits", Some(Some(bits))) if bits >= WINDOW_BITS => {
                asks_for_window = true;
            }
            _ => return None,
        }
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
    }
    Some(if asks_for_window {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12"
    } else {
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    })
}

/// `message` compressed; `None`: it would not be shorter.
pub(crate) fn compress(message: &[u8]) -> Option<Vec<u8>> {
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(message.len() / 2 + 64);
        loop {
            let rest = &message[compress.total_in() as usize..];
            compress
                .compress_vec(rest, &mut out, FlushCompress::Sync)
                .ok()?;
            if out.len() >= message.len() + TAIL.len() {
                return None;
            }
            // With room left there is nothing more to come.
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(out.capacity());
        }
        out.truncate(out.strip_suffix(&TAIL)?.len());
        (out.len() < message.len()).then_some(out)
    })
}

/// A client's message as it was before it was compressed. `limit` is the bound of messages that are not.
pub(super) fn inflate(message: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
    let most = limit.saturating_mul(EXPANSION);
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        let mut out = Vec::with_capacity(message.len().saturating_mul(2).clamp(64, most.max(64)));
        for part in [message, &TAIL[..]] {
            inflate_part(inflate, part, most, &mut out)?;
        }
        Ok(out)
    })
}

fn inflate_part(
    inflate: &mut Decompress,
    mut rest: &[u8],
    most: usize,
    out: &mut Vec<u8>,
) -> Result<(), Violation> {
    loop {
        if out.len() > most {
            return Err(Violation::TooBig);
        }
        if out.len() == out.capacity() {
            // One byte more than may be shows that there is more.
            let grown = out.capacity().saturating_mul(2).min(most + 1);
            out.reserve_exact(grown.saturating_sub(out.len()).max(1));
        }
        let (in_before, out_before) = (inflate.total_in(), out.len());
        let status = inflate
            .decompress_vec(rest, out, FlushDecompress::Sync)
            .map_err(|_| Violation::NotDeflate)?;
        let used = (inflate.total_in() - in_before) as usize;
        rest = &rest[used..];
        if status == Status::StreamEnd {
            // A block that says it is the last one; others may follow all the same.
            inflate.reset(false);
        }
        if rest.is_empty() && out.len() < out.capacity() {
            return if out.len() > most {
                Err(Violation::TooBig)
            } else {
                Ok(())
            };
        }
        if used == 0 && out.len() == out_before && status != Status::StreamEnd {
            return Err(Violation::NotDeflate);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offers_of_stock_clients_are_accepted() {
        for (offer, window) in [
            // Browsers and Node, Go, Python.
            ("permessage-deflate; client_max_window_bits", false),
            (
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
                false,
            ),
            (
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
                true,
            ),
            ("permessage-deflate", false),
            (
                "x-webkit-deflate-frame, Permessage-Deflate;server_max_window_bits=\"15\"",
                true,
            ),
            (
                "permessage-deflate; server_max_window_bits=9, permessage-deflate",
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, offer.parse().expect("a value"));
            let answer = negotiate(&headers).expect(offer);
            assert_eq!(answer.contains("server_max_window_bits=12"), window);
        }
    }

    #[test]
    fn offers_that_cannot_be_kept_are_not_accepted() {
        for offer in [
            "",
            "permessage-bzip2",
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits=11",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=012",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits=",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; mode=fast",
            "permessage-deflate;",
        ] {
            assert_eq!(accept(offer), None, "{offer}");
        }
    }

    #[test]
    fn the_rfcs_own_examples() {
        for bytes in [
            // One block; without compression; with a last block; two blocks.
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[
                0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
            ],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[
                0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
            ],
        ] {
            assert_eq!(inflate(bytes, 100).as_deref(), Ok(&b"Hello"[..]));
        }
        assert_eq!(inflate(&[0x00], 100).as_deref(), Ok(&b""[..]));
    }

    #[test]
    fn what_inflates_too_far_or_not_at_all_is_refused() {
        let bomb = compress(&vec![b'x'; 1001]).expect("shorter");
        assert!(bomb.len() < 100);
        assert_eq!(inflate(&bomb, 100), Err(Violation::TooBig));
        assert_eq!(inflate(&bomb, 101).map(|text| text.len()), Ok(1001));
        let million = compress(&vec![b'x'; 1_000_000]).expect("shorter");
        assert_eq!(inflate(&million, 100), Err(Violation::TooBig));
        assert_eq!(inflate(&[0xff; 20], 100), Err(Violation::NotDeflate));
        assert_eq!(inflate(b"plain", 100), Err(Violation::NotDeflate));
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(text in "[a-d]{0,5000}", noise in proptest::collection::vec(any::<u8>(), 0..5000)) {
            for message in [text.as_bytes(), &noise, text.repeat(20).as_bytes()] {
                if let Some(compressed) = compress(message) {
                    prop_assert!(compressed.len() < message.len());
                    let back = inflate(&compressed, message.len());
                    prop_assert_eq!(back.as_deref(), Ok(message));
                }
            }
        }

        #[test]
        fn noise_never_panics(noise in proptest::collection::vec(any::<u8>(), 0..512)) {
            if let Ok(out) = inflate(&noise, 100) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }
}
