//! Replies that can be refusals.

use crate::api::message::Reply;

/// An error is a reply too.
pub(in crate::daemon) type Answered<T> = Result<T, Box<Reply>>;

/// The request makes no sense.
pub(in crate::daemon) fn usage(message: impl Into<String>) -> Box<Reply> {
    Box::new(Reply::usage(message))
}

/// The daemon could not do it.
pub(in crate::daemon) fn trouble(message: impl std::fmt::Display) -> Box<Reply> {
    Box::new(Reply::trouble(message.to_string()))
}
