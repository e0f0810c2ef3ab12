//! What a broker answers: at once, or when it has heard from elsewhere.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::broker::BrokerError;

type Outcome<T> = Result<T, BrokerError>;

/// An answer that is there already, or is on its way. What was asked for happens whether somebody waits for
/// the answer or not.
#[must_use = "a broker may fail"]
pub struct Answer<T>(State<T>);

enum State<T> {
    Known(Option<Outcome<T>>),
    Awaited(Pin<Box<dyn Future<Output = Outcome<T>> + Send>>),
}

impl<T> Answer<T> {
    /// One that is there: nothing is allocated, and whoever awaits it goes on at once.
    pub fn known(outcome: Outcome<T>) -> Self {
        Self(State::Known(Some(outcome)))
    }

    /// One that is on its way.
    pub fn awaited(answer: impl Future<Output = Outcome<T>> + Send + 'static) -> Self {
        Self(State::Awaited(Box::pin(answer)))
    }

    /// The answer, if it is there already.
    pub fn into_known(self) -> Result<Outcome<T>, Self> {
        match self.0 {
            State::Known(Some(outcome)) => Ok(outcome),
            state => Err(Self(state)),
        }
    }
}

impl<T> From<T> for Answer<T> {
    fn from(answer: T) -> Self {
        Self::known(Ok(answer))
    }
}

impl<T: Unpin> Future for Answer<T> {
    type Output = Outcome<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome<T>> {
        match &mut self.get_mut().0 {
            State::Known(known) => known.take().map_or(Poll::Pending, Poll::Ready),
            State::Awaited(answer) => answer.as_mut().poll(context),
        }
    }
}

impl<T> fmt::Debug for Answer<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.0 {
            State::Known(_) => "Answer(known)",
            State::Awaited(_) => "Answer(awaited)",
        })
    }
}
