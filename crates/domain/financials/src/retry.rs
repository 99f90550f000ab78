use infirmary_kernel::{Caller, Done, Gate, Idempotency};

use crate::FinancialsError;

/// How often a write is decided anew. Each `Stale` means that somebody else's write succeeded, so there is progress in any
/// case; who meets sixteen of them on one patient's account can wait.
pub(crate) const MAX_TRIES: usize = 16;

/// What to say instead of a refusal, when the very request was answered before: the account may refuse now because that
/// answer's effect is already in it.
pub(crate) async fn unless_answered<T>(
    gate: &Gate,
    caller: &Caller,
    idempotency: Option<&Idempotency>,
    refusal: FinancialsError,
) -> Result<Done<T>, FinancialsError> {
    match gate.earlier(caller, idempotency).await? {
        Some(receipt) => Ok(Done::Before(receipt)),
        None => Err(refusal),
    }
}
