use async_trait::async_trait;
use infirmary_auth::{AcceptedInvitation, Account, AccountState, Invitation, InvitationStore, Invited};
use infirmary_kernel::{Sha256Digest, StoreError, Trail, WriteError};
use mongodb::bson::{Document, RawDocument, doc};

use crate::{
    MongoStore, accounts,
    documents::{Fields, digest, id, time},
    schema::{ACCOUNTS, INVITATIONS},
    sessions,
    transaction::{Transaction, Write, line},
};

#[async_trait]
impl Write for Invited {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let account = &self.account;
        if account.version == 1 {
            accounts::insert(transaction, account).await?;
        } else {
            let waiting = doc! { "state": AccountState::Invited.as_str() };
            accounts::update(transaction, account, waiting, doc! {}).await?;
        }
        transaction.put(&INVITATIONS, document(&self.invitation)).await
    }
}

pub(crate) fn document(invitation: &Invitation) -> Document {
    doc! {
        "_id": id(invitation.account),
        "code": digest(&invitation.code),
        "expires_at": time(invitation.expires_at),
    }
}

pub(crate) fn invitation(found: &RawDocument) -> Result<Invitation, StoreError> {
    Ok(Invitation { account: found.id("_id")?, code: found.digest("code")?, expires_at: found.time("expires_at")? })
}

#[async_trait]
impl Write for AcceptedInvitation {
    fn trail(&self) -> &Trail {
        &self.trail
    }

    fn line(&self) -> Option<usize> {
        Some(line(self.account.id))
    }

    async fn apply(&self, transaction: &mut Transaction<'_>) -> Result<(), WriteError> {
        let invitation = doc! { "_id": id(self.account.id), "code": digest(&self.code) };
        if transaction.delete(&INVITATIONS, invitation).await? == 0 {
            return Err(WriteError::Stale);
        }
        let password = doc! { "password": self.password.as_stored() };
        accounts::update(transaction, &self.account, doc! {}, password).await?;
        sessions::insert(transaction, &self.session).await
    }
}

#[async_trait]
impl InvitationStore for MongoStore {
    async fn invite(&self, invited: Invited) -> Result<(), WriteError> {
        self.write(&invited).await.map(|_| ())
    }

    async fn accept(&self, accepted: AcceptedInvitation) -> Result<(), WriteError> {
        self.write(&accepted).await.map(|_| ())
    }

    async fn find_by_code(&self, code: Sha256Digest) -> Result<Option<(Invitation, Account)>, StoreError> {
        let lookup = doc! { "from": ACCOUNTS.name, "localField": "_id", "foreignField": "_id", "as": "of" };
        let pipeline = vec![doc! { "$match": { "code": digest(&code) } }, doc! { "$lookup": lookup }];
        let found = self.aggregate(&INVITATIONS, pipeline).await?;
        let Some(found) = found.first() else { return Ok(None) };
        let invitation = invitation(found)?;
        let account = found.documents("of")?.first().map(|account| accounts::account(account)).transpose()?;
        Ok(account.map(|account| (invitation, account)))
    }
}
