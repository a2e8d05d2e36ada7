//! A websocket as a byte stream: MQTT goes in binary messages, and where one ends means nothing (MQTT 5, 6.0).

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use futures_sink::Sink;
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_websockets::{ClientBuilder, Error, Limits, Message, WebSocketStream};

use crate::{link::LinkError, url::Url};

/// The longest message that is sent, in bytes.
const MOST: usize = 64 * 1024;
/// The longest that may come, in bytes: the longest packet of MQTT, with its head.
const LONGEST: usize = 256 * 1024 * 1024 + 5;

/// Bytes over a websocket. Reads and writes may be cancelled.
pub(crate) struct WebSocket<S> {
    messages: WebSocketStream<S>,
    /// What nobody has read yet of the last message that came.
    rest: Bytes,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks the other end of `stream` for the websocket at `path`.
    pub(crate) async fn open(url: &Url, path: &str, stream: S) -> Result<Self, LinkError> {
        let failed = |error: &dyn std::fmt::Display| LinkError::WebSocket(error.to_string());
        // The stream is there already, so the scheme means nothing.
        let asked = ClientBuilder::new()
            .uri(&format!("ws://{}{path}", url.place()))
            .map_err(|error| failed(&error))?
            .add_header(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static("mqtt"))
            .map_err(|error| failed(&error))?
            .limits(Limits::default().max_payload_len(Some(LONGEST)));
        match asked.connect_on(stream).await {
            Ok((messages, _)) => Ok(Self { messages, rest: Bytes::new() }),
            Err(Error::Io(error)) => Err(error.into()),
            Err(error) => Err(failed(&error)),
        }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.messages).poll_next(cx)) {
                Some(Ok(message)) if message.is_binary() => self.rest = message.into_payload().into(),
                Some(Ok(message)) if message.is_text() => {
                    return Poll::Ready(Err(io::Error::other("the broker sent text over the websocket")));
                }
                // Pings have been answered.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..count]);
        self.rest.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.messages).poll_ready(cx)).map_err(io_error)?;
        let count = bytes.len().min(MOST);
        let message = Message::binary(Bytes::copy_from_slice(&bytes[..count]));
        Pin::new(&mut self.messages).start_send(message).map_err(io_error)?;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.messages).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.messages).poll_close(cx).map_err(io_error)
    }
}
