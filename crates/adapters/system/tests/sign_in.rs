//! The real parts together: somebody signs in with bcrypt, JWT and keys from files.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::sync::Arc;

use infirmary_auth::{
    AuthError, Authenticate, CreateAdmin, FactorPolicy, Login, Password, PasswordDoor, PasswordPolicy, RefreshSession,
    SignIn, TokenIssuer, testing::MemoryAuth,
};
use infirmary_kernel::{
    EmailAddress, Gate, PersonName, Role,
    testing::{MemoryConfidentiality, origin},
};
use infirmary_system::{BcryptHasher, GivenSecrets, HmacSigner, JwtTokens, Keyring, OsEntropy, SystemClock, SystemIds};
use secrecy::ExposeSecret;

const PASSWORD: &str = "گەنجینەی وشەکان لە هەولێر";

#[tokio::test]
async fn who_signs_in_before_a_restart_is_known_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryAuth::default());
    let email = EmailAddress::parse("ada@example.org").unwrap();
    let mut refresh_token = String::new();
    for start in 0..2 {
        let keys = Keyring::open(folder.path(), &GivenSecrets::default()).unwrap();
        let tokens = Arc::new(JwtTokens::new("https://infirmary.example", &keys.tokens));
        let hasher = Arc::new(BcryptHasher::new(&keys.pepper, 4));
        let issuer = TokenIssuer {
            access: tokens.clone(),
            signer: Arc::new(HmacSigner::new(&keys.signing)),
            entropy: Arc::new(OsEntropy),
        };
        let journal = Arc::new(store.journal.clone());
        let confidentiality = Arc::new(MemoryConfidentiality::default());
        let gate =
            Gate::new(journal.clone(), journal, confidentiality, Arc::new(SystemClock), Arc::new(SystemIds::default()));
        let authenticate =
            Authenticate { gate: gate.clone(), tokens, sessions: store.clone(), factor_policy: FactorPolicy::Optional };
        if start == 0 {
            let policy = PasswordPolicy::new("St Mary's Hospital");
            let (gate, accounts, hasher) = (gate.clone(), store.clone(), hasher.clone());
            let creating = CreateAdmin { gate, accounts, hasher, policy };
            creating.run(email.clone(), PersonName::parse("Ada").unwrap(), PASSWORD).await.unwrap();
        } else {
            let refreshing = RefreshSession { gate: gate.clone(), sessions: store.clone(), issuer: issuer.clone() };
            let tokens = refreshing.run(&refresh_token, &origin()).await.unwrap();
            let caller = authenticate.run(tokens.access_token.expose_secret(), origin()).await.unwrap();
            assert_eq!(caller.role, Role::Admin);
        }
        let door = PasswordDoor { gate, accounts: store.clone(), attempts: store.clone(), hasher };
        let login = Login { door, sessions: store.clone(), codes: store.clone(), issuer };
        let wrong = login.run(&email, &Password::parse(&format!("{PASSWORD}.")).unwrap(), &origin()).await;
        assert!(matches!(wrong, Err(AuthError::BadCredentials)));
        let signed_in = login.run(&email, &Password::parse(PASSWORD).unwrap(), &origin()).await.unwrap();
        let SignIn::Session(tokens) = signed_in else { panic!("there is no second factor") };
        authenticate.run(tokens.access_token.expose_secret(), origin()).await.unwrap();
        refresh_token = tokens.refresh_token.expose_secret().to_owned();
    }
}
