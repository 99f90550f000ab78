use std::{borrow::Cow, fmt};

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use infirmary_kernel::RequestId;

use crate::http::problem::Problem;

/// An answer that is no success, as these clients read it: a status, and a text that they show to the person.
#[derive(Debug)]
pub enum Refusal {
    /// A text of the contract.
    Said(StatusCode, Cow<'static, str>),
    /// Any other: the words of the problem, as text.
    Problem(Problem),
}

impl Refusal {
    pub const fn said(status: StatusCode, text: &'static str) -> Self {
        Self::Said(status, Cow::Borrowed(text))
    }

    pub const fn bad(text: &'static str) -> Self {
        Self::said(StatusCode::BAD_REQUEST, text)
    }

    pub fn not_found() -> Self {
        Self::Problem(Problem::not_found("there is no such record"))
    }

    pub fn respond(&self, request: RequestId) -> HttpResponse {
        match self {
            Self::Said(status, said) => super::text(*status, said.as_ref()),
            Self::Problem(problem) => problem.respond_as_text(request),
        }
    }
}

impl<E: Into<Problem>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Problem(error.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Said(_, said) => f.write_str(said),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

/// The edge writes the body, as it knows the request id.
impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Said(status, _) => *status,
            Self::Problem(problem) => problem.status_as_text(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}
