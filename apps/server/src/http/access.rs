//! Who may carry out which operation: an entry for each, given where the operation is listed.
//!
//! An operation is not listed without its entry ([`super::Operations::service`] takes both), and the server does not start
//! when an entry and the document contradict each other ([`check`]). It is the use case that lets in or turns away, by
//! [`Permission`]; the document shows the entry of each operation as [`EXTENSION`], and a test walks all of them as
//! everybody and compares.

use std::collections::BTreeMap;

use infirmary_kernel::{Permission, Reach, Role};
use serde_json::{Value, json};
use utoipa::openapi::{OpenApi, extensions::ExtensionsBuilder, path::Operation};

use super::operations;

/// Of an operation in the document: `"anyone"`, or how far it reaches for each role that may, such as
/// `{"doctor": "all", "patient": "own"}`.
pub const EXTENSION: &str = "x-access";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No session is asked for: what is in the request lets in, a password, a code or a link, or there is nothing to keep.
    Anyone,
    With(Permission),
    /// One permission or the other: two use cases behind one route.
    WithEither(Permission, Permission),
    /// Of those with the permission, one role only: routes of the replaced system that are of fewer people.
    OnlyAs(Role, Permission),
}

impl From<Permission> for Access {
    fn from(permission: Permission) -> Self {
        Self::With(permission)
    }
}

impl Access {
    /// How far the operation reaches for the role; `None`: the role may not.
    pub fn reach(self, role: Role) -> Option<Reach> {
        match self {
            Self::Anyone => Some(Reach::All),
            Self::With(permission) => permission.reach(role),
            Self::WithEither(one, other) => one.reach(role).or(other.reach(role)),
            Self::OnlyAs(only, permission) => permission.reach(role).filter(|_| role == only),
        }
    }

    /// Writes the entry into the document.
    pub fn describe(self, operation: &mut Operation) {
        let value = match self {
            Self::Anyone => json!("anyone"),
            _ => {
                let reaches = Role::ALL.into_iter().filter_map(|role| {
                    let reach = match self.reach(role)? {
                        Reach::All => "all",
                        Reach::Own => "own",
                        Reach::Billing => "billing",
                        Reach::Existence => "existence",
                    };
                    Some((role.as_str(), reach))
                });
                json!(reaches.collect::<BTreeMap<_, _>>())
            }
        };
        operation.extensions.get_or_insert_default().merge(ExtensionsBuilder::new().add(EXTENSION, value).build());
    }
}

/// Names every operation that has no entry, is for nobody, or is for signed-in people and asks for no token.
pub fn check(document: &OpenApi) -> Result<(), String> {
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(document) {
        let entry = operation.extensions.as_ref().and_then(|extensions| extensions.get(EXTENSION));
        let asks_for_token = operation.security.is_some();
        let said = match entry {
            None => "has no entry",
            Some(Value::Object(reaches)) if reaches.is_empty() => "is for no role",
            Some(Value::Object(_)) if !asks_for_token => "is for signed-in people, and its document asks for no token",
            Some(_) => continue,
        };
        wrong.push(format!("{method} {path} {said}"));
    }
    if wrong.is_empty() { Ok(()) } else { Err(format!("in the table of permissions: {}", wrong.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::openapi;

    #[test]
    fn every_operation_has_an_entry() {
        assert_eq!(check(&openapi(true)), Ok(()));
    }

    #[test]
    fn an_operation_without_an_entry_or_a_token_is_named() {
        let mut document = openapi(true);
        let item = |document: &mut OpenApi, path: &str| document.paths.paths.get_mut(path).unwrap().get.take().unwrap();
        let (mut charges, mut me) = (item(&mut document, "/v1/charges"), item(&mut document, "/v1/me"));
        charges.extensions = None;
        me.security = None;
        document.paths.paths.get_mut("/v1/charges").unwrap().get = Some(charges);
        document.paths.paths.get_mut("/v1/me").unwrap().get = Some(me);
        let said = check(&document).unwrap_err();
        assert!(said.contains("GET /v1/charges has no entry"), "{said}");
        assert!(said.contains("GET /v1/me is for signed-in people"), "{said}");
        assert!(!said.contains("/v1/patients"), "{said}");
    }
}
