//! The bodies of the engine's HTTP responses.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use crate::transport::outlet;

/// A body: a text, or replies and pushes until the connection ends.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    Text(Option<Bytes>),
    Stream(outlet::Response),
}

impl Body {
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self(Content::Text((!text.is_empty()).then_some(text)))
    }

    pub(super) fn stream(response: outlet::Response) -> Self {
        Self(Content::Stream(response))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.0 {
            Content::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Content::Stream(response) => Pin::new(response).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Content::Text(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.0 {
            Content::Text(text) => {
                http_body::SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64)
            }
            Content::Stream(_) => http_body::SizeHint::default(),
        }
    }
}
