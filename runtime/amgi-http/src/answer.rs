//! What a request is answered with: problems as RFC 9457 describes them, and the status of what became of a message.
//!
//! What must hold: a status below 300 says that the sender is done with the message, and nothing else does. Texts of handlers'
//! errors are in the log, not in an answer.

use std::time::Duration;

use amgi::{Disposition, Reason, Rejection, server::Outcome};
use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
};
use serde_json::{Map, Value, json};

/// When to try again, where nothing else says it.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// What is wrong with a request, or with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
    /// Further members.
    members: Map<String, Value>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None, members: Map::new() }
    }

    pub(crate) fn later(detail: &str, after: Duration) -> Self {
        Self { retry_after: Some(after), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// The application ends.
    pub(crate) fn stopping() -> Self {
        Self::later("the application is stopping", SOON)
    }

    fn rejected(rejection: &Rejection) -> Self {
        let mut problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "the message does not fit its description");
        let violations: Vec<Value> = rejection
            .violations()
            .iter()
            .map(|violation| {
                json!({
                    "part": violation.part.to_string(),
                    "pointer": violation.pointer,
                    "keyword": violation.keyword,
                    "expected": violation.expected,
                    "found": violation.found,
                })
            })
            .collect();
        problem.members.insert("violations".to_owned(), violations.into());
        problem
    }

    /// What became of a message that its sender is not done with.
    pub(crate) fn of(outcome: &Outcome) -> Option<Self> {
        let failed = "the message was not handled";
        Some(match outcome {
            Outcome::Acked | Outcome::Discarded(_) | Outcome::DeadLettered(_) => return None,
            Outcome::Nacked { reason: Reason::Rejected(rejection), .. } => Self::rejected(rejection),
            Outcome::Nacked { disposition: Disposition::RetryAfter(pause), .. } => {
                Self::later(failed, *pause)
            }
            Outcome::Nacked { reason: Reason::NotImplemented, .. } => {
                Self::new(StatusCode::NOT_IMPLEMENTED, "nobody handles such messages yet")
            }
            Outcome::Nacked { reason: Reason::NoChannel(_), .. } => {
                Self::new(StatusCode::NOT_FOUND, "no channel has this address")
            }
            Outcome::Nacked { .. } | Outcome::Unsettled => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, failed)
            }
        })
    }

    /// What became of a list, `None` for what is done with: the worst of it, where an error of ours is worse than one of the
    /// sender's. Sending again then has a point.
    pub(crate) fn of_all(each: Vec<Option<Self>>) -> Option<Self> {
        let count = each.len();
        let failed: Vec<(usize, Self)> =
            each.into_iter().enumerate().filter_map(|(index, one)| Some((index, one?))).collect();
        let worst = failed.iter().map(|(_, one)| one).max_by_key(|one| one.status.as_u16())?;
        let detail = format!("{} of {count} events were not handled; the others were", failed.len());
        let mut all = Self::new(worst.status, detail);
        all.retry_after = failed.iter().filter_map(|(_, one)| one.retry_after).max();
        let events: Vec<Value> = failed
            .iter()
            .map(|(index, one)| {
                let mut event = one.document();
                event.insert("index".to_owned(), (*index).into());
                Value::Object(event)
            })
            .collect();
        all.members.insert("events".to_owned(), events.into());
        Some(all)
    }

    fn document(&self) -> Map<String, Value> {
        let mut document = self.members.clone();
        document.insert("status".to_owned(), self.status.as_u16().into());
        document.insert("title".to_owned(), self.status.canonical_reason().unwrap_or("Problem").into());
        document.insert("detail".to_owned(), self.detail.as_str().into());
        document
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(Value::Object(self.document()).to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(after) = self.retry_after {
            // Whole seconds, and never too early.
            let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use amgi::error::Part;

    use super::*;

    fn nacked(reason: Reason, disposition: Disposition) -> Option<Problem> {
        Problem::of(&Outcome::Nacked { reason, disposition })
    }

    #[test]
    fn only_what_is_done_with_has_no_problem() {
        let reason = || Reason::Failed("the database's password is secret".to_owned());
        for done in [Outcome::Acked, Outcome::Discarded(reason()), Outcome::DeadLettered(reason())] {
            assert_eq!(Problem::of(&done), None);
        }
        let failed = nacked(reason(), Disposition::Retry).unwrap();
        assert_eq!(failed.status, 500);
        assert!(!Value::Object(failed.document()).to_string().contains("secret"));
        assert_eq!(Problem::of(&Outcome::Unsettled).unwrap().status, 500);
        assert_eq!(nacked(Reason::NotImplemented, Disposition::Retry).unwrap().status, 501);
        let later = nacked(reason(), Disposition::RetryAfter(Duration::from_millis(1500))).unwrap();
        assert_eq!(
            (later.status.as_u16(), &later.response().headers()["retry-after"]),
            (503, &HeaderValue::from(2))
        );
    }

    #[test]
    fn a_rejection_says_everything() {
        let rejection = Rejection::new(Part::Payload, "/id", "minimum", "at least 1").found("0");
        let problem = nacked(Reason::Rejected(rejection), Disposition::DeadLetter).unwrap();
        let expected = json!({
            "status": 422, "title": "Unprocessable Entity", "detail": "the message does not fit its description",
            "violations": [{"part": "payload", "pointer": "/id", "keyword": "minimum", "expected": "at least 1", "found": "0"}],
        });
        assert_eq!(Value::Object(problem.document()), expected);
    }

    #[test]
    fn the_worst_of_a_list_is_ours() {
        let ours = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a");
        let theirs = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "b");
        assert_eq!(Problem::of_all(vec![None, None]), None);
        let all = Problem::of_all(vec![None, Some(ours), Some(theirs), None]).unwrap();
        assert_eq!(
            (all.status.as_u16(), all.detail.as_str()),
            (500, "2 of 4 events were not handled; the others were")
        );
        assert_eq!(
            (&all.members["events"][0]["index"], &all.members["events"][1]["status"]),
            (&json!(1), &json!(422))
        );
    }
}
