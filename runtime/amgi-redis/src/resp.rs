//! What Redis answers (RESP 2), read without copying: texts are slices of what came from the socket.
//!
//! What must hold: a reply is built once, when all of it is there, however many reads that takes.

use amgi::Bytes;
use bytes::{Buf, BytesMut};

/// Deepest nesting that is read; a reply of the commands that are used here has five levels.
const DEPTH: usize = 16;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Nil,
    Int(i64),
    /// A status or a bulk string.
    Text(Bytes),
    /// Its code comes first, such as `NOGROUP`.
    Error(Bytes),
    Array(Vec<Reply>),
}

impl Reply {
    /// The elements of an array; none of anything else.
    pub(crate) fn into_array(self) -> Vec<Self> {
        match self {
            Self::Array(items) => items,
            _ => Vec::new(),
        }
    }

    pub(crate) fn into_text(self) -> Option<Bytes> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }
}

/// What is no RESP.
#[derive(Debug, thiserror::Error)]
#[error("what the server says is not Redis' protocol")]
pub(crate) struct Malformed;

/// Puts replies together from what comes from a socket.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    pub(crate) buffer: BytesMut,
    /// With fewer bytes there is no use in looking.
    wanted: usize,
}

/// How a look at the buffer ended.
enum Look {
    /// A reply ends here.
    End(usize),
    /// It does not end before this many bytes.
    Wanted(usize),
}

impl Decoder {
    /// The next reply that is there as a whole.
    pub(crate) fn next(&mut self) -> Result<Option<Reply>, Malformed> {
        if self.buffer.len() < self.wanted.max(1) {
            return Ok(None);
        }
        match look(&self.buffer, 0, 0)? {
            Look::Wanted(bytes) => {
                self.wanted = bytes;
                Ok(None)
            }
            Look::End(end) => {
                self.wanted = 0;
                let mut frame = self.buffer.split_to(end).freeze();
                build(&mut frame).map(Some)
            }
        }
    }
}

/// The line at `at` without its kind and end, and where it ends.
fn line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at + 1..)?;
    let end = rest.iter().position(|byte| *byte == b'\r')?;
    (rest.len() > end + 1).then(|| (&rest[..end], at + end + 3))
}

fn number(line: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(line).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// Where the reply that begins at `at` ends.
fn look(bytes: &[u8], at: usize, depth: usize) -> Result<Look, Malformed> {
    let more = Ok(Look::Wanted(bytes.len() + 1));
    let Some(kind) = bytes.get(at) else { return more };
    let Some((text, end)) = line(bytes, at) else { return more };
    match kind {
        b'+' | b'-' | b':' => Ok(Look::End(end)),
        b'$' => match usize::try_from(number(text)?) {
            Ok(length) => {
                let end = end + length + 2;
                Ok(if bytes.len() < end { Look::Wanted(end) } else { Look::End(end) })
            }
            Err(_) => Ok(Look::End(end)),
        },
        b'*' if depth < DEPTH => {
            let mut at = end;
            for _ in 0..number(text)? {
                match look(bytes, at, depth + 1)? {
                    Look::End(end) => at = end,
                    wanted @ Look::Wanted(_) => return Ok(wanted),
                }
            }
            Ok(Look::End(at))
        }
        _ => Err(Malformed),
    }
}

/// Takes a reply off a frame that holds all of it.
fn build(frame: &mut Bytes) -> Result<Reply, Malformed> {
    let kind = *frame.first().ok_or(Malformed)?;
    let (text, end) = {
        let (text, end) = line(frame, 0).ok_or(Malformed)?;
        (frame.slice_ref(text), end)
    };
    frame.advance(end);
    Ok(match kind {
        b'+' => Reply::Text(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Int(number(&text)?),
        b'$' => match usize::try_from(number(&text)?) {
            Ok(length) => {
                let bulk = frame.split_to(length);
                frame.advance(2);
                Reply::Text(bulk)
            }
            Err(_) => Reply::Nil,
        },
        _ => match usize::try_from(number(&text)?) {
            Ok(length) => {
                let mut items = Vec::with_capacity(length);
                for _ in 0..length {
                    items.push(build(frame)?);
                }
                Reply::Array(items)
            }
            Err(_) => Reply::Nil,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &'static str) -> Reply {
        Reply::Text(Bytes::from_static(text.as_bytes()))
    }

    const REPLIES: &[u8] =
        b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n*-1\r\n*3\r\n$4\r\na\r\nb\r\n*0\r\n*1\r\n$0\r\n\r\n";

    fn replies() -> Vec<Reply> {
        let inner = Reply::Array(vec![text("")]);
        vec![
            text("OK"),
            Reply::Error(Bytes::from_static(b"ERR no")),
            Reply::Int(-7),
            Reply::Nil,
            Reply::Nil,
            Reply::Array(vec![text("a\r\nb"), Reply::Array(Vec::new()), inner]),
        ]
    }

    #[test]
    fn replies_come_whole_however_they_are_cut() {
        for size in 1..=REPLIES.len() {
            let (mut decoder, mut came) = (Decoder::default(), Vec::new());
            for piece in REPLIES.chunks(size) {
                decoder.buffer.extend_from_slice(piece);
                while let Some(reply) = decoder.next().unwrap() {
                    came.push(reply);
                }
            }
            assert_eq!(came, replies(), "in pieces of {size}");
        }
    }

    #[test]
    fn other_protocols_are_refused() {
        for bytes in [&b"HTTP/1.1 400\r\n"[..], b"$x\r\n", b"*1\r\n?\r\n", &b"*1\r\n".repeat(40)] {
            let mut decoder = Decoder::default();
            decoder.buffer.extend_from_slice(bytes);
            assert!(decoder.next().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_large_text_is_looked_at_when_it_is_there() {
        let mut decoder = Decoder::default();
        decoder.buffer.extend_from_slice(b"*1\r\n$1000\r\n");
        assert!(decoder.next().unwrap().is_none());
        assert_eq!(decoder.wanted, 4 + 7 + 1000 + 2);
    }
}
