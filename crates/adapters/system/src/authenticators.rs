use infirmary_auth::{AuthenticatorInvitation, AuthenticatorSecret, Authenticators};
use infirmary_kernel::{EmailAddress, Timestamp};
use qrcode::{EcLevel, QrCode, render::svg};
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;
use totp_rs::{Algorithm, TOTP};

/// TOTP as every application does it: HMAC-SHA-1, six digits, steps of 30 seconds (RFC 6238).
pub struct TotpAuthenticators {
    /// Under which name the application lists the account.
    house: String,
}

impl TotpAuthenticators {
    const STEP_SECONDS: u64 = 30;
    const DIGITS: usize = 6;
    /// Modules of white around a QR code are part of it (ISO/IEC 18004): the renderer adds them.
    const QR_MIN_PIXELS: u32 = 240;

    pub fn new(house: &str) -> Self {
        // The colon parts the house from the account.
        Self { house: house.replace([':', '\n'], " ") }
    }

    fn totp(&self, secret: &AuthenticatorSecret, account: String) -> TOTP {
        let (bytes, house) = (secret.expose().to_vec(), Some(self.house.clone()));
        TOTP::new_unchecked(Algorithm::SHA1, Self::DIGITS, 1, Self::STEP_SECONDS, bytes, house, account)
    }
}

impl Authenticators for TotpAuthenticators {
    fn invitation(&self, secret: &AuthenticatorSecret, email: &EmailAddress) -> AuthenticatorInvitation {
        let totp = self.totp(secret, email.as_str().to_owned());
        let uri = totp.get_url();
        let qr_code = QrCode::with_error_correction_level(&uri, EcLevel::M)
            .map(|code| {
                let mut render = code.render::<svg::Color<'_>>();
                render.min_dimensions(Self::QR_MIN_PIXELS, Self::QR_MIN_PIXELS).build()
            })
            // Of more than a QR code holds (an e-mail and a house of the longest): the URI and the secret are there still.
            .unwrap_or_default();
        AuthenticatorInvitation { uri: uri.into(), secret: totp.get_secret_base32().into(), qr_code: qr_code.into() }
    }

    fn step_of(&self, code: &str, secret: &AuthenticatorSecret, now: Timestamp) -> Option<u64> {
        let totp = self.totp(secret, String::new());
        let step = u64::try_from(now.unix_seconds()).ok()? / Self::STEP_SECONDS;
        let mut found = None;
        for step in [step.saturating_add(1), step.saturating_sub(1), step] {
            let expected = secrecy::SecretString::from(totp.generate(step.saturating_mul(Self::STEP_SECONDS)));
            if bool::from(expected.expose_secret().as_bytes().ct_eq(code.as_bytes())) {
                found = Some(step);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::{array, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn a_code_is_good_for_its_step_and_no_further_than_one_beside_it(
            secret in array::uniform20(any::<u8>()),
            made in 0..4_000_000_000_i64,
            later in -200..200_i64,
        ) {
            let secret = AuthenticatorSecret::from_bytes(secret);
            let code = authenticators().totp(&secret, String::new()).generate(u64::try_from(made).unwrap());
            let now = (made + later).max(0);
            let (step, step_now) = (made / 30, now / 30);
            let found = authenticators().step_of(&code, &secret, at(now));
            if step.abs_diff(step_now) <= 1 {
                // Two steps have one code with a chance of one in a million; then either is right.
                prop_assert!(found.is_some_and(|found| found.abs_diff(u64::try_from(step_now).unwrap()) <= 1));
            } else {
                prop_assert_ne!(found, u64::try_from(step).ok());
            }
        }
    }

    fn authenticators() -> TotpAuthenticators {
        TotpAuthenticators::new("St Mary's: Hospital")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_ms(seconds * 1_000)
    }

    #[test]
    fn the_codes_are_those_of_the_standard() {
        // RFC 6238, appendix B, the last six of its eight digits.
        let secret = AuthenticatorSecret::from_bytes(*b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = u64::try_from(seconds).unwrap() / 30;
            assert_eq!(authenticators().step_of(code, &secret, at(seconds)), Some(step), "{seconds}");
        }
    }

    #[test]
    fn a_code_is_good_in_its_step_and_the_ones_beside_it() {
        let secret = AuthenticatorSecret::from_bytes(*b"12345678901234567890");
        let step_of = |code: &str, seconds| authenticators().step_of(code, &secret, at(seconds));
        // Of the step from 30 to 59 seconds.
        for (seconds, good) in [(-1, false), (0, true), (29, true), (30, true), (59, true), (89, true), (90, false)] {
            assert_eq!(step_of("287082", seconds), good.then_some(1), "{seconds}");
        }
        for wrong in ["", "287083", "87082", "0287082", "28708", "２８７０８２"] {
            assert_eq!(step_of(wrong, 59), None, "{wrong}");
        }
    }

    #[test]
    fn the_invitation_is_one_secret_in_three_forms_and_an_application_makes_our_codes_of_it() {
        let secret = AuthenticatorSecret::from_bytes([7; 20]);
        let email = EmailAddress::parse("ada+ward@example.org").unwrap();
        let invitation = authenticators().invitation(&secret, &email);
        let uri = invitation.uri.expose_secret();
        let base32 = invitation.secret.expose_secret();
        assert_eq!(base32.len(), 32);
        assert_eq!(
            uri,
            &format!(
                "otpauth://totp/St%20Mary%27s%20%20Hospital:ada%2Bward%40example.org?secret={base32}&issuer=St%20Mary%27s%20%20Hospital"
            )
        );
        assert!(invitation.qr_code.expose_secret().contains("<svg"));
        let application = TOTP::from_url(uri).unwrap();
        assert_eq!(
            authenticators().step_of(&application.generate(1_234_567_890), &secret, at(1_234_567_890)),
            Some(41_152_263)
        );
    }
}
