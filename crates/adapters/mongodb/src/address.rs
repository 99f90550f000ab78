use std::fmt;

use mongodb::options::{ConnectionString, HostInfo, Tls};
use secrecy::{ExposeSecret, SecretString};

use crate::{OpenError, store::DEFAULT_DATABASE};

/// A connection string. Names and passwords in it are not shown: its text is servers and database.
#[derive(Clone)]
pub struct Address {
    text: SecretString,
    shown: String,
    is_encrypted: bool,
}

impl Address {
    /// `mongodb://` or `mongodb+srv://`. Nothing is asked of the network.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        // The parser repeats what it does not understand, which can be a password.
        let parsed = ConnectionString::parse(text).map_err(|_| OpenError::address())?;
        let hosts = match &parsed.host_info {
            HostInfo::HostIdentifiers(hosts) => hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            HostInfo::DnsRecord(name) => name.clone(),
            _ => return Err(OpenError::address()),
        };
        let database = parsed.default_database.as_deref().unwrap_or(DEFAULT_DATABASE);
        let by_name = matches!(parsed.host_info, HostInfo::DnsRecord(_));
        let scheme = if by_name { "mongodb+srv" } else { "mongodb" };
        let is_encrypted = match parsed.tls {
            Some(Tls::Enabled(_)) => true,
            Some(Tls::Disabled) => false,
            None => by_name,
        };
        Ok(Self { text: text.into(), shown: format!("{scheme}://{hosts}/{database}"), is_encrypted })
    }

    pub(crate) fn expose(&self) -> &str {
        self.text.expose_secret()
    }

    /// Whether the connection is by TLS.
    pub const fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_who_signs_in_and_how() {
        for (text, shown, is_encrypted) in [
            ("mongodb://localhost", "mongodb://localhost:27017/infirmary", false),
            ("mongodb://ada:se%40cret@a:1,b/house?replicaSet=rs0", "mongodb://a:1,b:27017/house", false),
            ("mongodb://ada:secret@a/house?tls=true&authSource=admin", "mongodb://a:27017/house", true),
            ("mongodb+srv://ada:secret@house.example.org/", "mongodb+srv://house.example.org/infirmary", true),
            ("mongodb+srv://house.example.org/?tls=false", "mongodb+srv://house.example.org/infirmary", false),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.to_string().as_str(), address.is_encrypted()), (shown, is_encrypted));
            assert_eq!(address.expose(), text);
            let printed = format!("{address:?}");
            assert!(!printed.contains("cret") && !printed.contains("ada"), "{printed}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for text in
            ["mongodb:/x", "mongodb://ada:secret@", "mongodb://h/?maxPoolSize=secret", "secret", "mongodb+srv://h:1"]
        {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(refused.contains("mongodb://host") && !refused.contains("secret"), "{refused}");
        }
    }
}
