//! What an operator may set, by environment or a `.env` file. Every name is in `.env.example`; a test compares them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use infirmary_auth::{CallingCode, CodePolicy, FactorPolicy};
use infirmary_kernel::{Currency, ObjectKey};
use infirmary_mongodb::Address;
use infirmary_objects::{BucketLimits, BucketSettings, Service};
use secrecy::SecretString;

use crate::legacy::phone::HomeCountry;

#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub store: StoreUrl,
    pub objects: ObjectsUrl,
    pub secrets_dir: PathBuf,
    pub house: House,
    pub currency: Currency,
    /// Where clients reach this server: the base of links in answers and on paper.
    pub public_url: String,
    pub cors_origins: Vec<String>,
    pub trusted_proxies: Vec<IpAddr>,
    pub codes: CodePolicy,
    pub second_factor: FactorPolicy,
    pub metrics_listen: Option<SocketAddr>,
    pub metrics_token: Option<SecretString>,
    pub workers: usize,
    /// Whether the routes of the replaced system are served.
    pub legacy_api: bool,
    /// Of phone numbers that come without a country, by those routes and by the import.
    pub calling_code: Option<HomeCountry>,
    /// Without it, messages go to the log.
    pub whatsapp: Option<WhatsApp>,
    /// Whether a patient's phone is told that there is a report.
    pub report_notices: bool,
    pub log: String,
    pub log_format: LogFormat,
}

/// The name and address on paper.
#[derive(Debug, Clone)]
pub struct House {
    pub name: String,
    pub address: String,
}

/// The house at Meta.
#[derive(Debug, Clone)]
pub struct WhatsApp {
    pub url: String,
    pub version: String,
    pub phone_number_id: String,
    pub token: WhatsAppToken,
    pub code_template: String,
    pub report_template: String,
    pub emergency_template: String,
    pub language: String,
    /// Without it, nobody tells what became of a message.
    pub webhook: Option<Webhook>,
}

#[derive(Debug, Clone)]
pub enum WhatsAppToken {
    Given(SecretString),
    File(PathBuf),
}

#[derive(Debug, Clone)]
pub struct Webhook {
    pub app_secret: SecretString,
    pub verify_token: SecretString,
}

/// Where rows are kept. The address of a database is shown without what it has of secrets.
#[derive(Debug, Clone)]
pub enum StoreUrl {
    Sqlite(PathBuf),
    MongoDb(Address),
}

/// Where bytes are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectsUrl {
    File(PathBuf),
    Bucket(BucketSettings),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not a setting of Infirmary; did you mean {nearest}? All of them are in .env.example")]
    Unknown { name: String, nearest: &'static str },
    #[error("{name} is refused: {why}")]
    Refused { name: &'static str, why: String },
    #[error("the file .env cannot be read: {why}")]
    DotEnv { why: String },
}

const PREFIX: &str = "INFIRMARY_";

/// Every setting. What is not here stops the start: a misspelt limit would else be no limit.
pub const NAMES: &[&str] = &[
    "INFIRMARY_CALLING_CODE",
    "INFIRMARY_CORS_ORIGINS",
    "INFIRMARY_CURRENCY",
    "INFIRMARY_DATA_DIR",
    "INFIRMARY_HOUSE_ADDRESS",
    "INFIRMARY_HOUSE_NAME",
    "INFIRMARY_LEGACY_API",
    "INFIRMARY_LISTEN",
    "INFIRMARY_LOG",
    "INFIRMARY_LOG_FORMAT",
    "INFIRMARY_METRICS_LISTEN",
    "INFIRMARY_METRICS_TOKEN",
    "INFIRMARY_OBJECTS",
    "INFIRMARY_OBJECTS_CREDENTIALS",
    "INFIRMARY_OBJECTS_SIGNED_URLS",
    "INFIRMARY_OTP_COUNTRIES",
    "INFIRMARY_OTP_MAX_PER_DAY",
    "INFIRMARY_PUBLIC_URL",
    "INFIRMARY_REPORT_NOTICES",
    "INFIRMARY_REQUIRE_SECOND_FACTOR",
    "INFIRMARY_SECRETS_DIR",
    "INFIRMARY_STORE",
    "INFIRMARY_TRUSTED_PROXIES",
    "INFIRMARY_WHATSAPP_APP_SECRET",
    "INFIRMARY_WHATSAPP_CODE_TEMPLATE",
    "INFIRMARY_WHATSAPP_EMERGENCY_TEMPLATE",
    "INFIRMARY_WHATSAPP_LANGUAGE",
    "INFIRMARY_WHATSAPP_PHONE_NUMBER_ID",
    "INFIRMARY_WHATSAPP_REPORT_TEMPLATE",
    "INFIRMARY_WHATSAPP_TOKEN",
    "INFIRMARY_WHATSAPP_TOKEN_FILE",
    "INFIRMARY_WHATSAPP_URL",
    "INFIRMARY_WHATSAPP_VERIFY_TOKEN",
    "INFIRMARY_WHATSAPP_VERSION",
    "INFIRMARY_WORKERS",
];

/// For the test suites, not for a server: what they require to be there. Not settings, but no mistakes either.
const NOT_SETTINGS: &str = "INFIRMARY_TEST_";

impl Config {
    /// From the environment, and for what it leaves open from `.env` in the working folder, when there is one.
    pub fn load() -> Result<Self, ConfigError> {
        let mut variables = BTreeMap::new();
        match dotenvy::dotenv_iter() {
            Ok(lines) => {
                for line in lines {
                    // The error of the parser repeats the line, which can be a secret.
                    let (name, value) =
                        line.map_err(|_| ConfigError::DotEnv { why: "a line is not NAME=value".into() })?;
                    variables.insert(name, value);
                }
            }
            Err(error) if error.not_found() => {}
            Err(_) => return Err(ConfigError::DotEnv { why: "it is there and cannot be opened".into() }),
        }
        variables.extend(std::env::vars());
        Self::from_variables(variables)
    }

    pub fn from_variables(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut settings = BTreeMap::new();
        for (name, value) in variables {
            if !name.starts_with(PREFIX) || name.starts_with(NOT_SETTINGS) {
                continue;
            }
            match NAMES.iter().find(|known| **known == name) {
                Some(known) => settings.insert(*known, value),
                None => return Err(ConfigError::Unknown { nearest: nearest(&name), name }),
            };
        }
        let given = |name| settings.get(name).map(|value| value.trim()).filter(|value| !value.is_empty());

        let data_dir = PathBuf::from(given("INFIRMARY_DATA_DIR").unwrap_or("./data"));
        let listen: SocketAddr =
            parse("INFIRMARY_LISTEN", given("INFIRMARY_LISTEN").unwrap_or("127.0.0.1:8080"), || {
                "give an address and a port, such as 127.0.0.1:8080".into()
            })?;
        let mut objects = match given("INFIRMARY_OBJECTS") {
            None => ObjectsUrl::File(data_dir.join("objects")),
            Some(url) => objects_of(url, &data_dir)?,
        };
        for name in ["INFIRMARY_OBJECTS_CREDENTIALS", "INFIRMARY_OBJECTS_SIGNED_URLS"] {
            let Some(value) = given(name) else { continue };
            let refused = |why: &str| ConfigError::Refused { name, why: why.into() };
            let ObjectsUrl::Bucket(bucket) = &mut objects else {
                return Err(refused("it is for a bucket: gs://… or s3://…"));
            };
            match (name, value) {
                ("INFIRMARY_OBJECTS_CREDENTIALS", path) => bucket.credentials = Some(path.into()),
                (_, "on") => bucket.signed_urls = true,
                (_, "off") => bucket.signed_urls = false,
                _ => return Err(refused("give on or off")),
            }
        }
        Ok(Self {
            listen,
            store: match given("INFIRMARY_STORE") {
                None => StoreUrl::Sqlite(data_dir.join("infirmary.db")),
                Some(url) => store_of(url, &data_dir)?,
            },
            objects,
            secrets_dir: given("INFIRMARY_SECRETS_DIR").map_or_else(|| data_dir.join("secrets"), PathBuf::from),
            house: House {
                name: text("INFIRMARY_HOUSE_NAME", given("INFIRMARY_HOUSE_NAME").unwrap_or("Infirmary"), 200)?,
                address: text("INFIRMARY_HOUSE_ADDRESS", given("INFIRMARY_HOUSE_ADDRESS").unwrap_or(""), 500)?,
            },
            currency: parse("INFIRMARY_CURRENCY", given("INFIRMARY_CURRENCY").unwrap_or("GBP"), || {
                "give an ISO 4217 code such as GBP".into()
            })?,
            public_url: match given("INFIRMARY_PUBLIC_URL") {
                None => format!("http://{listen}"),
                Some(url) => http_url("INFIRMARY_PUBLIC_URL", url)?,
            },
            cors_origins: list(given("INFIRMARY_CORS_ORIGINS"))
                .map(|origin| http_url("INFIRMARY_CORS_ORIGINS", origin))
                .collect::<Result<_, _>>()?,
            trusted_proxies: list(given("INFIRMARY_TRUSTED_PROXIES"))
                .map(|address| {
                    let refused = || "give IP addresses, with commas between".into();
                    parse::<IpAddr>("INFIRMARY_TRUSTED_PROXIES", address, refused).map(|ip| ip.to_canonical())
                })
                .collect::<Result<_, _>>()?,
            codes: CodePolicy {
                countries: list(given("INFIRMARY_OTP_COUNTRIES"))
                    .map(|code| {
                        CallingCode::parse(code).ok_or_else(|| ConfigError::Refused {
                            name: "INFIRMARY_OTP_COUNTRIES",
                            why: "give the beginnings of phone numbers such as +964,+44, with commas between".into(),
                        })
                    })
                    .collect::<Result<_, _>>()?,
                max_per_day: match given("INFIRMARY_OTP_MAX_PER_DAY") {
                    None => CodePolicy::DEFAULT_MAX_PER_DAY,
                    Some(count) => parse("INFIRMARY_OTP_MAX_PER_DAY", count, || {
                        "give how many codes may be sent in 24 hours, from 0 to 4294967295".into()
                    })?,
                },
            },
            second_factor: parse(
                "INFIRMARY_REQUIRE_SECOND_FACTOR",
                given("INFIRMARY_REQUIRE_SECOND_FACTOR").unwrap_or("none"),
                || "give none or staff".into(),
            )?,
            metrics_listen: given("INFIRMARY_METRICS_LISTEN")
                .map(|address| {
                    parse("INFIRMARY_METRICS_LISTEN", address, || {
                        "give an address and a port, such as 127.0.0.1:9090".into()
                    })
                })
                .transpose()?,
            metrics_token: match given("INFIRMARY_METRICS_TOKEN") {
                Some(token) if token.len() < MIN_METRICS_TOKEN_BYTES => {
                    return Err(ConfigError::Refused {
                        name: "INFIRMARY_METRICS_TOKEN",
                        why: format!("give at least {MIN_METRICS_TOKEN_BYTES} characters"),
                    });
                }
                token => token.map(SecretString::from),
            },
            workers: match given("INFIRMARY_WORKERS") {
                None => std::thread::available_parallelism().map_or(1, usize::from),
                Some(count) => parse("INFIRMARY_WORKERS", count, || "give a number from 1 to 256".into())
                    .and_then(|count| in_range("INFIRMARY_WORKERS", count, 1..=256))?,
            },
            legacy_api: match given("INFIRMARY_LEGACY_API").unwrap_or("on") {
                "on" => true,
                "off" => false,
                _ => {
                    return Err(ConfigError::Refused { name: "INFIRMARY_LEGACY_API", why: "give on or off".into() });
                }
            },
            calling_code: given("INFIRMARY_CALLING_CODE")
                .map(|code| parse("INFIRMARY_CALLING_CODE", code, || "give 1 to 3 digits such as 964".into()))
                .transpose()?,
            whatsapp: whatsapp(&given)?,
            report_notices: match given("INFIRMARY_REPORT_NOTICES").unwrap_or("off") {
                "on" => true,
                "off" => false,
                _ => {
                    return Err(ConfigError::Refused {
                        name: "INFIRMARY_REPORT_NOTICES",
                        why: "give on or off".into(),
                    });
                }
            },
            log: given("INFIRMARY_LOG").unwrap_or("info").to_owned(),
            log_format: match given("INFIRMARY_LOG_FORMAT").unwrap_or("text") {
                "text" => LogFormat::Text,
                "json" => LogFormat::Json,
                _ => {
                    return Err(ConfigError::Refused { name: "INFIRMARY_LOG_FORMAT", why: "give text or json".into() });
                }
            },
            data_dir,
        })
    }
}

/// WhatsApp is set up by the id of the house's number; without it, no other setting of it says anything.
fn whatsapp<'a>(given: &impl Fn(&'static str) -> Option<&'a str>) -> Result<Option<WhatsApp>, ConfigError> {
    const NUMBER: &str = "INFIRMARY_WHATSAPP_PHONE_NUMBER_ID";
    let Some(phone_number_id) = given(NUMBER) else {
        let stray = NAMES.iter().find(|name| name.starts_with("INFIRMARY_WHATSAPP_") && given(name).is_some());
        return match stray {
            Some(name) => Err(ConfigError::Refused { name, why: format!("it says nothing without {NUMBER}") }),
            None => Ok(None),
        };
    };
    let plain = |name, default: Option<&'static str>, why: &str, allowed: fn(char) -> bool| {
        let value = given(name).or(default).unwrap_or_default();
        if !value.is_empty() && value.len() <= MAX_WHATSAPP_NAME_BYTES && value.chars().all(allowed) {
            Ok(value.to_owned())
        } else {
            Err(ConfigError::Refused { name, why: why.to_owned() })
        }
    };
    let template = |name, default| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        plain(name, Some(default), "give the name of a template, such as infirmary_code", allowed)
    };
    let version =
        plain("INFIRMARY_WHATSAPP_VERSION", Some("v25.0"), "give a version of the Graph API, such as v25.0", |c| {
            c.is_ascii_digit() || c == 'v' || c == '.'
        })?;
    plain(NUMBER, None, "give the id of the number: digits, and not the number itself", |c| c.is_ascii_digit())?;
    Ok(Some(WhatsApp {
        url: token_url(
            "INFIRMARY_WHATSAPP_URL",
            given("INFIRMARY_WHATSAPP_URL").unwrap_or("https://graph.facebook.com"),
        )?,
        version,
        phone_number_id: phone_number_id.to_owned(),
        token: match (given("INFIRMARY_WHATSAPP_TOKEN"), given("INFIRMARY_WHATSAPP_TOKEN_FILE")) {
            (Some(token), None) => WhatsAppToken::Given(token.into()),
            (None, Some(path)) => WhatsAppToken::File(path.into()),
            _ => {
                let why = "give either this or INFIRMARY_WHATSAPP_TOKEN_FILE".into();
                return Err(ConfigError::Refused { name: "INFIRMARY_WHATSAPP_TOKEN", why });
            }
        },
        code_template: template("INFIRMARY_WHATSAPP_CODE_TEMPLATE", "infirmary_code")?,
        report_template: template("INFIRMARY_WHATSAPP_REPORT_TEMPLATE", "infirmary_report_ready")?,
        emergency_template: template("INFIRMARY_WHATSAPP_EMERGENCY_TEMPLATE", "infirmary_emergency_access")?,
        language: plain(
            "INFIRMARY_WHATSAPP_LANGUAGE",
            Some("en"),
            "give the language of the templates, such as en or pt_BR",
            |c| c.is_ascii_alphabetic() || c == '_',
        )?,
        webhook: webhook(given)?,
    }))
}

fn webhook<'a>(given: &impl Fn(&'static str) -> Option<&'a str>) -> Result<Option<Webhook>, ConfigError> {
    const NAMES: [&str; 2] = ["INFIRMARY_WHATSAPP_APP_SECRET", "INFIRMARY_WHATSAPP_VERIFY_TOKEN"];
    match NAMES.map(given) {
        [None, None] => Ok(None),
        [Some(app_secret), Some(verify_token)] => {
            let short = NAMES
                .into_iter()
                .zip([app_secret, verify_token])
                .find(|(_, value)| value.len() < MIN_WEBHOOK_SECRET_BYTES);
            match short {
                Some((name, _)) => {
                    let why = format!("give at least {MIN_WEBHOOK_SECRET_BYTES} characters");
                    Err(ConfigError::Refused { name, why })
                }
                None => Ok(Some(Webhook { app_secret: app_secret.into(), verify_token: verify_token.into() })),
            }
        }
        [None, Some(_)] => Err(ConfigError::Refused { name: NAMES[0], why: format!("{} needs it, too", NAMES[1]) }),
        [Some(_), None] => Err(ConfigError::Refused { name: NAMES[1], why: format!("{} needs it, too", NAMES[0]) }),
    }
}

/// Where a secret is sent to: by TLS, unless it does not leave the machine.
fn token_url(name: &'static str, value: &str) -> Result<String, ConfigError> {
    let url = http_url(name, value)?;
    let host = url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default());
    let on_this_machine = |host: &str| {
        let here = ["localhost", "127.0.0.1", "[::1]"].into_iter().find_map(|name| host.strip_prefix(name));
        here.is_some_and(|port| port.is_empty() || port.starts_with(':'))
    };
    match host {
        Some(host) if !on_this_machine(host) => {
            Err(ConfigError::Refused { name, why: "give an address with https://; the token is sent there".into() })
        }
        _ => Ok(url),
    }
}

const MIN_METRICS_TOKEN_BYTES: usize = 32;
/// Meta's app secrets have 32.
const MIN_WEBHOOK_SECRET_BYTES: usize = 24;
const MAX_WHATSAPP_NAME_BYTES: usize = 512;

fn parse<T: std::str::FromStr>(
    name: &'static str,
    value: &str,
    why: impl FnOnce() -> String,
) -> Result<T, ConfigError> {
    value.parse().map_err(|_| ConfigError::Refused { name, why: why() })
}

fn in_range(name: &'static str, count: usize, range: std::ops::RangeInclusive<usize>) -> Result<usize, ConfigError> {
    if range.contains(&count) {
        Ok(count)
    } else {
        Err(ConfigError::Refused { name, why: format!("give a number from {} to {}", range.start(), range.end()) })
    }
}

fn text(name: &'static str, value: &str, max_chars: usize) -> Result<String, ConfigError> {
    // `\n` in a `.env` file is two characters.
    let value = value.replace("\\n", "\n");
    if value.chars().count() <= max_chars && !value.chars().any(|c| c.is_control() && c != '\n') {
        Ok(value)
    } else {
        Err(ConfigError::Refused { name, why: format!("give text of at most {max_chars} characters") })
    }
}

fn list(value: Option<&str>) -> impl Iterator<Item = &str> {
    value.unwrap_or("").split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn http_url(name: &'static str, value: &str) -> Result<String, ConfigError> {
    let rest = value.strip_prefix("https://").or_else(|| value.strip_prefix("http://"));
    let plain = |rest: &&str| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || "\"'<>?#".contains(c));
    match rest.filter(plain) {
        Some(_) => Ok(value.trim_end_matches('/').to_owned()),
        None => Err(ConfigError::Refused { name, why: "give a URL such as https://infirmary.example.org".into() }),
    }
}

/// A file, or a database of MongoDB. A refused address is not repeated: it may hold a password.
fn store_of(url: &str, data_dir: &Path) -> Result<StoreUrl, ConfigError> {
    const NAME: &str = "INFIRMARY_STORE";
    if url.starts_with("mongodb:") || url.starts_with("mongodb+srv:") {
        let refused = |error: infirmary_mongodb::OpenError| ConfigError::Refused { name: NAME, why: error.to_string() };
        return Address::parse(url).map(StoreUrl::MongoDb).map_err(refused);
    }
    path_of(NAME, url, "sqlite:", data_dir, "infirmary.db").map(StoreUrl::Sqlite)
}

/// A folder, or a bucket with what all keys begin with.
fn objects_of(url: &str, data_dir: &Path) -> Result<ObjectsUrl, ConfigError> {
    const NAME: &str = "INFIRMARY_OBJECTS";
    let (service, rest) = if let Some(rest) = url.strip_prefix("gs://") {
        (Service::GoogleCloudStorage, rest)
    } else if let Some(rest) = url.strip_prefix("s3://") {
        (Service::S3, rest)
    } else {
        return path_of(NAME, url, "file:", data_dir, "objects").map(ObjectsUrl::File);
    };
    let refused = |why: &str| ConfigError::Refused { name: NAME, why: why.into() };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.len() < 3 || !bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
    {
        return Err(refused("give the name of a bucket, such as gs://hospital-images/house"));
    }
    let prefix = prefix.trim_end_matches('/');
    let prefix = (!prefix.is_empty())
        .then(|| ObjectKey::parse(prefix))
        .transpose()
        .map_err(|_| refused("give a prefix of segments of a-z 0-9 - . _, such as gs://hospital-images/house"))?;
    Ok(ObjectsUrl::Bucket(BucketSettings {
        service,
        bucket: bucket.to_owned(),
        prefix,
        credentials: None,
        signed_urls: false,
        limits: BucketLimits::default(),
    }))
}

/// `scheme` alone is the default in the data folder; `scheme/path` and `scheme///path` are that path.
fn path_of(
    name: &'static str,
    url: &str,
    scheme: &str,
    data_dir: &Path,
    default: &str,
) -> Result<PathBuf, ConfigError> {
    let refusal = || ConfigError::Refused {
        name,
        why: format!("give {scheme}, {scheme}///an/absolute/path, or another address of those in .env.example"),
    };
    let path = url.strip_prefix(scheme).ok_or_else(refusal)?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() { Ok(data_dir.join(default)) } else { Ok(PathBuf::from(path)) }
}

/// The setting whose name shares the longest beginning, for a hint.
fn nearest(name: &str) -> &'static str {
    let shared = |known: &str| known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    NAMES.iter().max_by_key(|known| shared(known)).copied().unwrap_or("INFIRMARY_LISTEN")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_variables(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn nothing_set_is_one_machine_on_its_own_disk() {
        let config = config(&[("PATH", "/bin")]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert!(matches!(&config.store, StoreUrl::Sqlite(path) if path == Path::new("./data/infirmary.db")));
        assert_eq!(config.objects, ObjectsUrl::File("./data/objects".into()));
        assert_eq!(config.public_url, "http://127.0.0.1:8080");
        assert_eq!(config.currency, Currency::GBP);
    }

    #[test]
    fn rows_may_be_in_a_database_whose_password_is_not_shown() {
        let url = "mongodb+srv://infirmary:seven%20herons@cluster.example.org/house?authSource=admin";
        let given = config(&[("INFIRMARY_STORE", url)]).unwrap();
        let printed = format!("{given:?}");
        assert!(printed.contains("mongodb+srv://cluster.example.org/house"), "{printed}");
        for refused in ["mongodb:/herons", "mongodb://infirmary:herons@", "mongodb://h/?maxPoolSize=herons"] {
            let refused = config(&[("INFIRMARY_STORE", refused)]).unwrap_err().to_string();
            assert!(refused.contains("mongodb://host") && !refused.contains("herons"), "{refused}");
        }
        assert!(!printed.contains("herons"), "{printed}");
    }

    #[test]
    fn objects_may_be_in_a_bucket_below_a_prefix() {
        let bucket = |url| match config(&[("INFIRMARY_OBJECTS", url)])?.objects {
            ObjectsUrl::Bucket(bucket) => Ok((bucket.service, bucket.bucket, bucket.prefix)),
            ObjectsUrl::File(_) => panic!("{url} is no folder"),
        };
        let is = |service, bucket: &str, prefix: Option<&str>| {
            (service, bucket.to_owned(), prefix.map(|prefix| ObjectKey::parse(prefix).unwrap()))
        };
        let google = Service::GoogleCloudStorage;
        assert_eq!(bucket("gs://ward-images").unwrap(), is(google, "ward-images", None));
        assert_eq!(bucket("gs://ward-images/a/b/").unwrap(), is(google, "ward-images", Some("a/b")));
        assert_eq!(bucket("s3://ward.images/a").unwrap(), is(Service::S3, "ward.images", Some("a")));
        for refused in ["gs://", "gs://x", "s3://Ward", "gs://ward-images/a//b", "gs://ward-images/../b"] {
            let told: Result<_, ConfigError> = bucket(refused);
            assert!(told.is_err(), "{refused}");
        }
        assert!(config(&[("INFIRMARY_OBJECTS_SIGNED_URLS", "on")]).is_err(), "a folder signs nothing");
        let signed = [("INFIRMARY_OBJECTS", "gs://ward-images"), ("INFIRMARY_OBJECTS_SIGNED_URLS", "on")];
        let ObjectsUrl::Bucket(signed) = config(&signed).unwrap().objects else { panic!("a bucket") };
        assert!(signed.signed_urls && signed.credentials.is_none());
    }

    #[test]
    fn an_unknown_name_and_a_bad_value_are_named() {
        let unknown = config(&[("INFIRMARY_LISTENN", "x")]).unwrap_err().to_string();
        assert!(unknown.contains("INFIRMARY_LISTENN") && unknown.contains("INFIRMARY_LISTEN?"), "{unknown}");
        for (name, value) in [
            ("INFIRMARY_LISTEN", "8080"),
            ("INFIRMARY_STORE", "postgres://x"),
            ("INFIRMARY_OBJECTS", "ftp://x"),
            ("INFIRMARY_CURRENCY", "pounds"),
            ("INFIRMARY_PUBLIC_URL", "infirmary.example.org"),
            ("INFIRMARY_CORS_ORIGINS", "*"),
            ("INFIRMARY_TRUSTED_PROXIES", "10.0.0.0/8"),
            ("INFIRMARY_METRICS_TOKEN", "short"),
            ("INFIRMARY_OTP_COUNTRIES", "GB"),
            ("INFIRMARY_OTP_MAX_PER_DAY", "many"),
            ("INFIRMARY_REQUIRE_SECOND_FACTOR", "everybody"),
            ("INFIRMARY_REPORT_NOTICES", "yes"),
            ("INFIRMARY_WHATSAPP_LANGUAGE", "en"),
            ("INFIRMARY_WORKERS", "0"),
            ("INFIRMARY_LEGACY_API", "yes"),
            ("INFIRMARY_CALLING_CODE", "Iraq"),
            ("INFIRMARY_LOG_FORMAT", "xml"),
        ] {
            let refused = config(&[(name, value)]).unwrap_err().to_string();
            assert!(refused.contains(name), "{refused}");
        }
    }

    #[test]
    fn whatsapp_is_set_up_by_its_number_and_a_token() {
        let number = ("INFIRMARY_WHATSAPP_PHONE_NUMBER_ID", "105954558954427");
        let token = ("INFIRMARY_WHATSAPP_TOKEN", "EAAJB0123456789abcdef");
        assert!(config(&[]).unwrap().whatsapp.is_none());
        let whatsapp = config(&[number, token]).unwrap().whatsapp.unwrap();
        assert_eq!((whatsapp.url.as_str(), whatsapp.language.as_str()), ("https://graph.facebook.com", "en"));
        assert!(whatsapp.webhook.is_none());
        let url = "INFIRMARY_WHATSAPP_URL";
        for here in ["http://127.0.0.1:9999", "http://localhost", "http://[::1]:80", "https://proxy.example.org/graph"]
        {
            assert!(config(&[number, token, (url, here)]).is_ok(), "{here}");
        }
        let secret = "0123456789abcdef0123456789abcdef";
        let webhook = [("INFIRMARY_WHATSAPP_APP_SECRET", secret), ("INFIRMARY_WHATSAPP_VERIFY_TOKEN", secret)];
        let set_up = config(&[number, token, webhook[0], webhook[1]]).unwrap();
        assert!(set_up.whatsapp.as_ref().unwrap().webhook.is_some());
        let printed = format!("{set_up:?}");
        assert!(!printed.contains(secret) && !printed.contains("EAAJB"), "{printed}");
        for (settings, named) in [
            (vec![number], "INFIRMARY_WHATSAPP_TOKEN"),
            (vec![number, token, ("INFIRMARY_WHATSAPP_TOKEN_FILE", "x")], "INFIRMARY_WHATSAPP_TOKEN"),
            (
                vec![("INFIRMARY_WHATSAPP_PHONE_NUMBER_ID", "+9647501234567"), token],
                "INFIRMARY_WHATSAPP_PHONE_NUMBER_ID",
            ),
            (vec![number, token, (url, "http://proxy.example.org")], url),
            (vec![number, token, (url, "http://127.0.0.1.example.org")], url),
            (vec![number, token, ("INFIRMARY_WHATSAPP_VERSION", "v25/../x")], "INFIRMARY_WHATSAPP_VERSION"),
            (
                vec![number, token, ("INFIRMARY_WHATSAPP_CODE_TEMPLATE", "My template")],
                "INFIRMARY_WHATSAPP_CODE_TEMPLATE",
            ),
            (vec![number, token, webhook[0]], "INFIRMARY_WHATSAPP_VERIFY_TOKEN"),
            (vec![number, token, webhook[1]], "INFIRMARY_WHATSAPP_APP_SECRET"),
            (
                vec![number, token, webhook[0], ("INFIRMARY_WHATSAPP_VERIFY_TOKEN", "short")],
                "INFIRMARY_WHATSAPP_VERIFY_TOKEN",
            ),
            (vec![token], "INFIRMARY_WHATSAPP_TOKEN"),
        ] {
            let refused = config(&settings).unwrap_err().to_string();
            assert!(refused.starts_with(named), "{refused}");
        }
    }

    #[test]
    fn every_setting_is_in_the_operators_guide() {
        let guide = include_str!("../../../docs/operators-guide.md");
        let missing: Vec<_> = NAMES.iter().filter(|name| !guide.contains(&format!("`{name}`"))).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_setting_is_in_the_example_and_no_other() {
        let example = include_str!("../../../.env.example");
        let named: Vec<_> = example
            .lines()
            .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
            .map(|(name, _)| name)
            .filter(|name| name.starts_with(PREFIX))
            .collect();
        let mut sorted = named.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, NAMES);
    }
}
