use async_trait::async_trait;
use infirmary_auth::{
    Admission, AnsweredChallenge, Challenge, CodeCounter, CodePurpose, CodeStore, CountedRequest, CounterKey, Granted,
    OpenedChallenge, ResetPassword,
    code_limits::{self, CodeCounters},
};
use infirmary_kernel::{ChallengeId, PhoneNumber, SessionId, StoreError, Timestamp, Trail, WriteError};
use mongodb::bson::{Bson, Document, RawDocument, doc};

use crate::{
    MongoStore, accounts,
    attempts::line_of,
    documents::{DocumentExt, Fields, digest, id, number, time},
    factors,
    schema::{CHALLENGES, CODE_COUNTERS},
    sessions,
    transaction::{Done, Transaction, Work, Write, line},
};

#[async_trait]
impl Work for OpenedChallenge {
    type Answer = Admission;

    async fn run<'a>(&self, transaction: &mut Transaction<'a>) -> Done<'a, Admission> {
        let challenge = &self.challenge;
        if let (Some(password), Some(account)) = (&self.password, challenge.account) {
            let replacement = password.replacement.as_ref();
            accounts::prove(transaction, account, &password.proved, replacement, doc! {}).await?;
        }
        if let Some(request) = &self.request {
            let admission = count(transaction, request).await?;
            if admission != Admission::Admitted {
                return Ok((admission, None));
            }
            if let Some(phone) = &challenge.phone {
                let before = doc! { "phone": phone.as_str(), "purpose": challenge.purpose.as_str() };
                transaction.delete(&CHALLENGES, before).await?;
            }
        }
        transaction.insert(&CHALLENGES, document(challenge)).await?;
        Ok((Admission::Admitted, Some(transaction.keep(&self.trail).await?)))
    }
}

#[async_trait]
impl Write for AnsweredChallenge {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let waiting = doc! { "_id": id(self.challenge), "proved": false };
        let used = match self.granted {
            Granted::Proof { until } => {
                let proof = doc! { "$set": { "proved": true, "expires_at": time(until) } };
                transaction.update(&CHALLENGES, waiting, proof).await?
            }
            _ => transaction.delete(&CHALLENGES, waiting).await? > 0,
        };
        if !used {
            return Err(WriteError::Stale);
        }
        factors::spend(transaction, self.account, &self.spent).await?;
        match &self.granted {
            Granted::Session(session) => sessions::insert(transaction, session).await,
            Granted::SecondFactor(challenge) => transaction.insert(&CHALLENGES, document(challenge)).await,
            Granted::Confirmation { session, at } => sessions::confirm(transaction, *session, self.account, *at).await,
            Granted::VerifiedPhone(account) => accounts::update(transaction, account, doc! {}, doc! {}).await,
            Granted::Proof { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl Write for ResetPassword {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let proved = doc! {
            "_id": id(self.challenge),
            "account": id(self.account),
            "purpose": CodePurpose::PasswordReset.as_str(),
            "proved": true,
        };
        if transaction.delete(&CHALLENGES, proved).await? == 0 {
            return Err(WriteError::Stale);
        }
        let password = doc! { "password": self.password.as_stored() };
        accounts::hold(transaction, self.account, doc! {}, password).await?;
        sessions::end_all(transaction, self.account, None).await
    }
}

struct Closed {
    challenge: ChallengeId,
    trail: Trail,
}

#[async_trait]
impl Write for Closed {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let nobodys = doc! { "_id": id(self.challenge), "account": { "$exists": false } };
        if transaction.delete(&CHALLENGES, nobodys).await? == 0 { Err(WriteError::Stale) } else { Ok(()) }
    }
}

#[async_trait]
impl CodeStore for MongoStore {
    async fn open(&self, opened: OpenedChallenge) -> Result<Admission, WriteError> {
        let line = opened.request.as_ref().map(|request| line_of(&request.number));
        self.transact(line, &opened).await
    }

    async fn find(&self, challenge: ChallengeId) -> Result<Option<Challenge>, StoreError> {
        let found = self.find_one(&CHALLENGES, doc! { "_id": id(challenge) }).await?;
        found.map(|found| self::challenge(&found)).transpose()
    }

    async fn attempt(
        &self,
        challenge: ChallengeId,
        session: Option<SessionId>,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        // `null` stands for a challenge without a session.
        let session = [Some(Bson::Null), session.map(id)].into_iter().flatten().collect::<Vec<Bson>>();
        let open = doc! {
            "_id": id(challenge),
            "proved": false,
            "tries": { "$lt": number(Challenge::MAX_TRIES) },
            "expires_at": { "$gt": time(at) },
            "session": { "$in": session },
        };
        self.update_one(&CHALLENGES, open, doc! { "$inc": { "tries": number(1) } }).await
    }

    async fn answer(&self, answered: AnsweredChallenge) -> Result<(), WriteError> {
        self.write(&answered).await.map(|_| ())
    }

    async fn reset_password(&self, reset: ResetPassword) -> Result<(), WriteError> {
        self.write(&reset).await.map(|_| ())
    }

    async fn close(&self, challenge: ChallengeId, trail: Trail) -> Result<(), WriteError> {
        self.write(&Closed { challenge, trail }).await.map(|_| ())
    }
}

pub(crate) fn document(challenge: &Challenge) -> Document {
    doc! {
        "_id": id(challenge.id),
        "purpose": challenge.purpose.as_str(),
        "tries": number(challenge.tries),
        "proved": challenge.proved,
        "expires_at": time(challenge.expires_at),
    }
    .with("account", challenge.account.map(id))
    .with("phone", challenge.phone.as_ref().map(PhoneNumber::as_str))
    .with("session", challenge.session.map(id))
    .with("code", challenge.code.as_ref().map(digest))
}

pub(crate) fn challenge(found: &RawDocument) -> Result<Challenge, StoreError> {
    Ok(Challenge {
        id: found.id("_id")?,
        purpose: found.parsed("purpose", str::parse)?,
        account: found.optional_id("account")?,
        phone: found.optional_parsed("phone", PhoneNumber::parse)?,
        session: found.optional_id("session")?,
        code: found.optional_digest("code")?,
        tries: found.number("tries")?,
        proved: found.flag("proved")?,
        expires_at: found.time("expires_at")?,
    })
}

async fn count(transaction: &mut Transaction<'_>, request: &CountedRequest) -> Result<Admission, WriteError> {
    let house_key = CounterKey::house();
    let mut number = counter(transaction, &request.number).await?;
    let mut address = match &request.address {
        Some(key) => Some((key, counter(transaction, key).await?)),
        None => None,
    };
    let mut house = if request.sent { Some(counter(transaction, &house_key).await?) } else { None };
    let counters = CodeCounters {
        number: &mut number,
        address: address.as_mut().map(|(_, counter)| counter),
        house: house.as_mut(),
    };
    let admission = code_limits::admit(counters, request);
    // Of a refusal, only the number has changed; and not even that after the first one.
    if matches!(admission, Admission::Refused { first: false, .. }) {
        return Ok(admission);
    }
    save(transaction, &request.number, &number).await?;
    if admission == Admission::Admitted {
        if let Some((key, counter)) = &address {
            save(transaction, key, counter).await?;
        }
        if let Some(counter) = &house {
            save(transaction, &house_key, counter).await?;
        }
    }
    Ok(admission)
}

async fn counter(transaction: &mut Transaction<'_>, key: &CounterKey) -> Result<CodeCounter, WriteError> {
    let found = transaction.find_one(&CODE_COUNTERS, doc! { "_id": key.as_str() }).await?;
    found.map_or_else(|| Ok(CodeCounter::default()), |found| Ok(counter_in(&found)?))
}

pub(crate) fn counter_in(found: &RawDocument) -> Result<CodeCounter, StoreError> {
    Ok(CodeCounter {
        times: found.times("times")?,
        total: found.number("total")?,
        since: found.optional_time("since")?,
        noted: found.flag("noted")?,
    })
}

async fn save(transaction: &mut Transaction<'_>, key: &CounterKey, counter: &CodeCounter) -> Result<(), WriteError> {
    transaction.put(&CODE_COUNTERS, counter_document(key, counter)).await
}

pub(crate) fn counter_document(key: &CounterKey, counter: &CodeCounter) -> Document {
    doc! {
        "_id": key.as_str(),
        "times": counter.times.iter().copied().map(time).collect::<Vec<Bson>>(),
        "total": number(counter.total),
        "noted": counter.noted,
        "forget_at": time(counter.forget_at()),
    }
    .with("since", counter.since.map(time))
}
