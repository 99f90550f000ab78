//! The only place that knows which adapters are behind the ports. Runs once, at start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use infirmary_audit::{AuditLog, VerifyChain};
use infirmary_auth::{
    AcceptInvitation, AccountStore, AnswerChallenge, AttemptStore, Authenticate, Authenticators, ChangeAccount,
    ChangeFactors, ChangeMe, ChangePassword, CodeStore, ConfirmSession, CreateAdmin, DecideRegistration, EndSession,
    EnrolAuthenticator, FactorStore, InvitationStore, InviteStaff, KeepSession, Login, PasswordDoor, PasswordHasher,
    PasswordPolicy, RefreshSession, RequestCode, ResetPasswordByCode, RestartAccount, SessionStore, TokenIssuer,
};
use infirmary_diagnosis::{
    AmendDiagnosis, ChangeDraft, ChangeTask, ConfirmDiagnosis, CreateTask, DiagnosisError, DiagnosisStore, EnsureTasks,
    RecordDiagnosis, RetractDiagnosis, TaskStore,
};
use infirmary_dicom::ImageFileReader;
use infirmary_financials::{
    ChargeByHand, Ledger, LedgerQueries, ReceiptTypesetter, RefundPayment, SettleCharge, TakePayment, VoidCharge,
};
use infirmary_imaging::{ImageReader, ImageStore, Previews, ReceiveImage};
use infirmary_kernel::{
    Clock, Confidentiality, Currency, Entropy, Gate, House, IdSource, Invalid, Journal, KeyCheck, Leases, Objects,
    PostalAddress, Readiness, Receipts, ShortText, Signer, StoreError, Sweep, Timestamp,
};
use infirmary_messaging::{
    DeliverMessages, DeliveryWebhook, MessageLog, MessageSender, Outbox, RecordDeliveries, RetryMessage,
};
use infirmary_mongodb::MongoStore;
use infirmary_objects::{BucketObjects, DiskObjects};
use infirmary_patients::{CareTeamStore, PatientStore};
use infirmary_pdf::{PdfGuard, TypstPress};
use infirmary_reports::{PdfInspector, ReceivePdf, ReportStore, Typesetter};
use infirmary_sqlite::SqliteStore;
use infirmary_system::{
    BcryptHasher, DEFAULT_BCRYPT_COST, GivenSecrets, HmacSigner, JwtTokens, Keyring, KeyringError, LogSender,
    OsEntropy, PEPPER_FILE, StandingJwt, SystemClock, SystemIds, TotpAuthenticators,
};
use infirmary_whatsapp::{Settings, Token, TokenError, WhatsAppSender, WhatsAppWebhook};
use infirmary_workflows::{
    ChangeCareTeam, Conversion, ConversionPart, ConvertObjects, ConvertedStore, Importer, Inspection, IssueReport,
    Overview, OverviewQueries, RecordStudy, RegisterAccount, Registry, ReportIssuer, StartEmergencyAccess,
    StudyRecorder, SweepObjects, Transfer,
};

use secrecy::ExposeSecret;
use tokio::sync::Semaphore;

use crate::{
    background::{self, Alone, Background, Courier, Pace},
    config::{self, Config, ObjectsUrl, StoreUrl, WhatsApp, WhatsAppToken},
    http::{
        App,
        accounts::Accounts,
        audit::Audit,
        auth::Auth,
        care_teams::CareTeams,
        codes::Codes,
        diagnoses::Diagnoses,
        factors::Factors,
        financials::Financials,
        legacy::{Legacy, MAX_UPLOADS_AT_ONCE},
        links::Links,
        messages::Messages,
        metrics::Metrics,
        patients::Patients,
        reports::Reports,
        studies::Studies,
        tasks::Tasks,
    },
};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the folder {folder} cannot be made")]
    Folder { folder: PathBuf, source: io::Error },
    #[error(transparent)]
    Sqlite(#[from] infirmary_sqlite::OpenError),
    #[error(transparent)]
    MongoDb(#[from] infirmary_mongodb::OpenError),
    #[error("the objects cannot be opened")]
    Objects(#[source] StoreError),
    #[error(transparent)]
    Secrets(#[from] KeyringError),
    #[error("the catalogue of tasks cannot be filled")]
    Tasks(#[source] DiagnosisError),
    #[error(
        "the database {database} is there, but not its secrets in {secrets}: with new ones, every password would be wrong; \
         bring them back from where they were copied to"
    )]
    SecretsGone { database: String, secrets: PathBuf },
    #[error(
        "the secrets in {secrets} are not those that the database {database} was begun with: with another pepper.key every \
         password would be wrong, and with another signing.key every session and link; put in their place what a machine \
         has on which this house is served, or what was copied from there"
    )]
    SecretsDiffer { database: String, secrets: PathBuf },
    #[error(
        "the house in {database} is copied to another store since {begun_at}, and must not change meanwhile; finish that by the \
         same `infirmary convert`, or give the copy up and let this one go on by `infirmary convert --release`"
    )]
    IsCopied { database: String, begun_at: Timestamp },
    #[error(
        "the house in {database} was copied to another store (begun at {begun_at}) and goes on there: set INFIRMARY_STORE to \
         that one. Two that go on would be two houses; when the copy is given up, this one goes on by \
         `infirmary convert --release`"
    )]
    HasLeft { database: String, begun_at: Timestamp },
    #[error(
        "the house in {database} is not whole: a conversion into it, begun at {begun_at}, was not finished; run the same \
         `infirmary convert` again, which goes on where it was"
    )]
    NotWhole { database: String, begun_at: Timestamp },
    #[error(
        "the store of objects {objects} is not whole: bytes were being copied into it; run the same `infirmary convert` \
         again, which goes on where it was"
    )]
    ObjectsNotWhole { objects: String },
    #[error("it cannot be told whether the store takes part in a conversion")]
    Conversion(#[source] StoreError),
    #[error("it cannot be told whether the secrets are those that the database was begun with")]
    KeyCheck(#[source] StoreError),
    #[error("WhatsApp cannot be set up")]
    WhatsAppToken(#[source] TokenError),
    #[error("{0}")]
    Internal(String),
}

/// How much work one password costs. Less than the default is for tests only, which sign in a lot.
#[derive(Debug, Clone, Copy)]
pub struct HashCost(pub u32);

impl Default for HashCost {
    fn default() -> Self {
        Self(DEFAULT_BCRYPT_COST)
    }
}

/// The use cases, ready to be run; those of the API in `app`, those of the command line beside it.
pub struct Wired {
    pub app: App,
    pub create_admin: CreateAdmin,
    pub background: Background,
    pub outbox: Arc<dyn Outbox>,
}

/// What a verification works with: stores that are there, opened to be read.
pub struct Inspected {
    pub inspection: Arc<dyn Inspection>,
    pub ledger: Arc<dyn LedgerQueries>,
    pub log: Arc<dyn AuditLog>,
    pub objects: Arc<dyn Objects>,
    pub clock: Arc<dyn Clock>,
    pub currency: Currency,
}

/// Makes nothing and changes nothing; a server may be at work meanwhile. Needs no secrets.
pub async fn inspect(config: &Config) -> Result<Inspected, StartError> {
    choose_tls_provider();
    let stores = Stores::open_to_read(config, 1).await?;
    Ok(stores.inspected(objects_to_read(config)?, config.currency))
}

/// Whether there is a house already.
pub async fn is_begun(config: &Config) -> Result<bool, StartError> {
    match &config.store {
        StoreUrl::Sqlite(path) => Ok(path.exists()),
        StoreUrl::MongoDb(_) => match Stores::open_to_read(config, 1).await {
            Ok(_) => Ok(true),
            Err(StartError::MongoDb(infirmary_mongodb::OpenError::Absent { .. })) => Ok(false),
            Err(error) => Err(error),
        },
    }
}

pub fn objects_to_read(config: &Config) -> Result<Arc<dyn Objects>, StartError> {
    Ok(match &config.objects {
        ObjectsUrl::File(folder) => Arc::new(DiskObjects::open_to_read(folder).map_err(StartError::Objects)?),
        ObjectsUrl::Bucket(settings) => {
            let connected = BucketObjects::connect(settings, &staging_of(config), Arc::new(OsEntropy));
            Arc::new(connected.map_err(StartError::Objects)?)
        }
    })
}

/// For uploads on their way to a bucket, and for what comes back from it to be read as a file.
fn staging_of(config: &Config) -> PathBuf {
    config.data_dir.join("staging")
}

/// To be written to, whole or not.
pub async fn objects_to_fill(config: &Config) -> Result<Arc<dyn Objects>, StartError> {
    Ok(match &config.objects {
        ObjectsUrl::File(folder) => Arc::new(DiskObjects::open(folder).map_err(StartError::Objects)?),
        ObjectsUrl::Bucket(settings) => {
            let opened = BucketObjects::open(settings, &staging_of(config), Arc::new(OsEntropy)).await;
            Arc::new(opened.map_err(StartError::Objects)?)
        }
    })
}

async fn open_objects(config: &Config) -> Result<Arc<dyn Objects>, StartError> {
    let objects = objects_to_fill(config).await?;
    match ConvertObjects::is_half(objects.as_ref()).await {
        Ok(false) => {}
        Ok(true) => return Err(StartError::ObjectsNotWhole { objects: config.objects.to_string() }),
        // The check says it in the words of an operator, and the server waits for the store.
        Err(error) => tracing::error!(%error, "it cannot be told whether the objects are whole"),
    }
    if let Err(error) = objects.check().await {
        tracing::error!(%error, "the store of objects is not as it should be; the server is not ready");
    }
    Ok(objects)
}

/// A store to be copied or filled, whatever its part in a conversion is, and without the secrets of its house. One that is to
/// be copied has to be there; one to be filled is made.
pub async fn store_to_convert(config: &Config, filled: bool) -> Result<Stores, StartError> {
    choose_tls_provider();
    if !filled && !is_begun(config).await? {
        // Says what is not there.
        return Stores::open_to_read(config, 1).await;
    }
    match &config.store {
        StoreUrl::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                make_private_folder(folder)?;
            }
            Ok(Stores::of(SqliteStore::open(path, config.workers)?))
        }
        StoreUrl::MongoDb(address) => Ok(Stores::of(MongoStore::open(address, Arc::new(OsEntropy)).await?)),
    }
}

/// What an import works with.
pub struct Importing {
    pub importer: Arc<dyn Importer>,
    pub accounts: Arc<dyn AccountStore>,
    pub tasks: Arc<dyn TaskStore>,
    pub objects: Arc<dyn Objects>,
    pub receive_image: ReceiveImage,
    pub receive_pdf: ReceivePdf,
    pub entropy: Arc<dyn Entropy>,
    pub gate: Gate,
    /// For the verification at its end.
    pub inspected: Inspected,
}

/// Opens the house to write to it. A dry run writes to a folder that goes away after it, and only reads the house, if there
/// is one.
pub async fn importing(config: &Config, dry_run_in: Option<&Path>) -> Result<Importing, StartError> {
    choose_tls_provider();
    let (stores, objects) = match dry_run_in {
        None => (open_house(config).await?.0, open_objects(config).await?),
        Some(folder) => {
            let stores = match is_begun(config).await? {
                true => Stores::open_to_read(config, config.workers).await?,
                // As empty as the one that is not there.
                false => Stores::of(SqliteStore::open(&folder.join("infirmary.db"), config.workers)?),
            };
            let objects = DiskObjects::open(&folder.join("objects")).map_err(StartError::Objects)?;
            (stores, Arc::new(objects) as Arc<dyn Objects>)
        }
    };
    let currency = config.currency;
    let inspected = stores.inspected(objects.clone(), currency);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let gate =
        Gate::new(stores.journal, stores.receipts, stores.confidentiality, clock, Arc::new(SystemIds::default()));
    if dry_run_in.is_none() {
        let tasks = EnsureTasks { gate: gate.clone(), tasks: stores.tasks.clone(), currency };
        tasks.run().await.map_err(StartError::Tasks)?;
    }
    Ok(Importing {
        importer: stores.importer,
        accounts: stores.accounts,
        tasks: stores.tasks,
        receive_image: ReceiveImage {
            gate: gate.clone(),
            objects: objects.clone(),
            reader: Arc::new(ImageFileReader::default()),
        },
        receive_pdf: ReceivePdf {
            gate: gate.clone(),
            objects: objects.clone(),
            inspector: Arc::new(PdfGuard::default()),
        },
        entropy: Arc::new(OsEntropy),
        gate,
        inspected,
        objects,
    })
}

/// Every store port, by the one technology that the configuration names. The database is the transaction boundary, so
/// they cannot be mixed.
#[derive(Clone)]
pub struct Stores {
    key_check: Arc<dyn KeyCheck>,
    journal: Arc<dyn Journal>,
    receipts: Arc<dyn Receipts>,
    confidentiality: Arc<dyn Confidentiality>,
    leases: Arc<dyn Leases>,
    sweep: Arc<dyn Sweep>,
    readiness: Arc<dyn Readiness>,
    accounts: Arc<dyn AccountStore>,
    invitations: Arc<dyn InvitationStore>,
    sessions: Arc<dyn SessionStore>,
    attempts: Arc<dyn AttemptStore>,
    codes: Arc<dyn CodeStore>,
    factors: Arc<dyn FactorStore>,
    outbox: Arc<dyn Outbox>,
    messages: Arc<dyn MessageLog>,
    patients: Arc<dyn PatientStore>,
    care_teams: Arc<dyn CareTeamStore>,
    diagnoses: Arc<dyn DiagnosisStore>,
    tasks: Arc<dyn TaskStore>,
    audit: Arc<dyn AuditLog>,
    ledger: Arc<dyn Ledger>,
    ledger_queries: Arc<dyn LedgerQueries>,
    images: Arc<dyn ImageStore>,
    reports: Arc<dyn ReportStore>,
    overview: Arc<dyn Overview>,
    registry: Arc<dyn Registry>,
    study_recorder: Arc<dyn StudyRecorder>,
    report_issuer: Arc<dyn ReportIssuer>,
    importer: Arc<dyn Importer>,
    inspection: Arc<dyn Inspection>,
    transfer: Arc<dyn Transfer>,
}

impl Stores {
    pub fn of<S>(store: S) -> Self
    where
        S: KeyCheck + Journal + Receipts + Confidentiality + Leases + Sweep + Readiness + Outbox + MessageLog,
        S: AccountStore + InvitationStore + SessionStore + AttemptStore + CodeStore + FactorStore,
        S: PatientStore
            + CareTeamStore
            + DiagnosisStore
            + TaskStore
            + ImageStore
            + ReportStore
            + AuditLog
            + Ledger
            + LedgerQueries,
        S: Overview + Registry + StudyRecorder + ReportIssuer + Importer + Inspection + Transfer + 'static,
    {
        let store = Arc::new(store);
        Self {
            key_check: store.clone(),
            journal: store.clone(),
            receipts: store.clone(),
            confidentiality: store.clone(),
            leases: store.clone(),
            sweep: store.clone(),
            readiness: store.clone(),
            accounts: store.clone(),
            invitations: store.clone(),
            sessions: store.clone(),
            attempts: store.clone(),
            codes: store.clone(),
            factors: store.clone(),
            outbox: store.clone(),
            messages: store.clone(),
            patients: store.clone(),
            care_teams: store.clone(),
            diagnoses: store.clone(),
            tasks: store.clone(),
            audit: store.clone(),
            ledger: store.clone(),
            ledger_queries: store.clone(),
            images: store.clone(),
            reports: store.clone(),
            overview: store.clone(),
            registry: store.clone(),
            study_recorder: store.clone(),
            report_issuer: store.clone(),
            importer: store.clone(),
            inspection: store.clone(),
            transfer: store,
        }
    }

    /// Of what is there already.
    async fn open_to_read(config: &Config, readers: usize) -> Result<Self, StartError> {
        Ok(match &config.store {
            StoreUrl::Sqlite(path) => Self::of(SqliteStore::open_to_read(path, readers)?),
            StoreUrl::MongoDb(address) => Self::of(MongoStore::open_to_read(address, Arc::new(OsEntropy)).await?),
        })
    }

    pub fn converted(&self) -> ConvertedStore {
        ConvertedStore { transfer: self.transfer.clone(), inspection: self.inspection.clone(), log: self.audit.clone() }
    }

    /// The lease by which it is known that no server works on the store.
    pub fn alone(&self) -> Alone {
        let (clock, ids): (_, &dyn IdSource) = (Arc::new(SystemClock), &SystemIds::default());
        Alone {
            leases: self.leases.clone(),
            name: BACKGROUND,
            holder: ids.mint(clock.now()),
            clock,
            pace: Pace::default(),
        }
    }

    /// A house is served where it is whole, and where it did not leave.
    async fn refuse_while_converted(&self, database: &str) -> Result<(), StartError> {
        let Some(Conversion { begun_at, part, .. }) =
            self.transfer.conversion().await.map_err(StartError::Conversion)?
        else {
            return Ok(());
        };
        let database = database.to_owned();
        Err(match part {
            ConversionPart::Source => StartError::IsCopied { database, begun_at },
            ConversionPart::Left => StartError::HasLeft { database, begun_at },
            ConversionPart::Target { .. } => StartError::NotWhole { database, begun_at },
        })
    }

    pub fn inspected(&self, objects: Arc<dyn Objects>, currency: Currency) -> Inspected {
        Inspected {
            inspection: self.inspection.clone(),
            ledger: self.ledger_queries.clone(),
            log: self.audit.clone(),
            objects,
            clock: Arc::new(SystemClock),
            currency,
        }
    }
}

/// The store and the secrets that go with it: of the house that is there, or of a new one.
async fn open_house(config: &Config) -> Result<(Stores, Keyring), StartError> {
    make_private_folder(&config.data_dir)?;
    let secrets = || config.secrets_dir.clone();
    let has_secrets = config.secrets_dir.join(PEPPER_FILE).exists();
    let open_keyring = || Keyring::open(&config.secrets_dir, &GivenSecrets::default());
    let (stores, keyring, database) = match &config.store {
        StoreUrl::Sqlite(path) => {
            let database = path.display().to_string();
            if path.exists() && !has_secrets {
                return Err(StartError::SecretsGone { database, secrets: secrets() });
            }
            // Before the file, which would not be opened again without them.
            let keyring = open_keyring()?;
            (Stores::of(SqliteStore::open(path, config.workers)?), keyring, database)
        }
        StoreUrl::MongoDb(address) => {
            let (store, database) = (MongoStore::open(address, Arc::new(OsEntropy)).await?, address.to_string());
            if !has_secrets && store.kept().await.map_err(StartError::KeyCheck)?.is_some() {
                return Err(StartError::SecretsGone { database, secrets: secrets() });
            }
            (Stores::of(store), open_keyring()?, database)
        }
    };
    stores.refuse_while_converted(&database).await?;
    let own = keyring.check_value();
    if stores.key_check.keep(own).await.map_err(StartError::KeyCheck)? != own {
        return Err(StartError::SecretsDiffer { database, secrets: secrets() });
    }
    Ok((stores, keyring))
}

/// The lease of whichever process does the work of the house.
const BACKGROUND: &str = "background";

/// The one cryptography of all TLS connections of this process. Clients of HTTPS ask for it when they are made.
pub fn choose_tls_provider() {
    // An error says that it was chosen before: by a test, or by another server in this process.
    let _chosen_before = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the house and sees to it that it has what it begins with.
pub async fn wire(config: &Config, hash_cost: HashCost) -> Result<Wired, StartError> {
    wire_at(config, hash_cost, Arc::new(SystemClock)).await
}

/// The same by another clock than the machine's.
pub async fn wire_at(config: &Config, hash_cost: HashCost, clock: Arc<dyn Clock>) -> Result<Wired, StartError> {
    choose_tls_provider();
    let (stores, keyring) = open_house(config).await?;
    let objects = open_objects(config).await?;

    let entropy: Arc<dyn Entropy> = Arc::new(OsEntropy);
    let hmac = HmacSigner::new(&keyring.signing);
    let signer: Arc<dyn Signer> = Arc::new(hmac.clone());
    let hasher: Arc<dyn PasswordHasher> = Arc::new(BcryptHasher::new(&keyring.pepper, hash_cost.0));
    let ids: Arc<dyn IdSource> = Arc::new(SystemIds::default());
    let gate = Gate::new(
        stores.journal.clone(),
        stores.receipts.clone(),
        stores.confidentiality.clone(),
        clock.clone(),
        ids.clone(),
    );
    let access = Arc::new(JwtTokens::new(config.public_url.as_str(), &keyring.tokens));
    let issuer = TokenIssuer { access: access.clone(), signer: signer.clone(), entropy: entropy.clone() };
    let policy = PasswordPolicy::new(&config.house.name);
    let authenticators: Arc<dyn Authenticators> = Arc::new(TotpAuthenticators::new(&config.house.name));
    let door = PasswordDoor {
        gate: gate.clone(),
        accounts: stores.accounts.clone(),
        attempts: stores.attempts.clone(),
        hasher: hasher.clone(),
    };
    let account_queries = || infirmary_auth::Queries {
        gate: gate.clone(),
        accounts: stores.accounts.clone(),
        sessions: stores.sessions.clone(),
    };

    let diagnosis_queries = || infirmary_diagnosis::Queries {
        gate: gate.clone(),
        diagnoses: stores.diagnoses.clone(),
        tasks: stores.tasks.clone(),
    };
    let currency = config.currency;
    let tasks = EnsureTasks { gate: gate.clone(), tasks: stores.tasks.clone(), currency };
    tasks.run().await.map_err(StartError::Tasks)?;
    let overview_queries = || OverviewQueries {
        gate: gate.clone(),
        overview: stores.overview.clone(),
        accounts: stores.accounts.clone(),
        patients: stores.patients.clone(),
        ledger: stores.ledger_queries.clone(),
        currency,
    };
    let reader: Arc<dyn ImageReader> = Arc::new(ImageFileReader::default());
    let previews = Previews { objects: objects.clone(), reader: reader.clone() };
    let press = Arc::new(TypstPress::default());
    let receipts: Arc<dyn ReceiptTypesetter> = press.clone();
    let report_typesetter: Arc<dyn Typesetter> = press;
    let inspector: Arc<dyn PdfInspector> = Arc::new(PdfGuard::default());
    let house = on_paper(&config.house)?;

    let metrics = Metrics::new().map_err(|error| StartError::Internal(error.to_string()))?;
    let sender = sender(config.whatsapp.as_ref(), &config.house.name)?;
    let courier = Courier {
        deliver: DeliverMessages::new(stores.outbox.clone(), sender, clock.clone(), entropy.clone()),
        metrics: metrics.messages(),
    };
    let app = App {
        auth: Auth {
            authenticate: Authenticate {
                gate: gate.clone(),
                tokens: access,
                sessions: stores.sessions.clone(),
                factor_policy: config.second_factor,
            },
            register: RegisterAccount {
                gate: gate.clone(),
                decide: DecideRegistration { hasher: hasher.clone(), policy: policy.clone(), issuer: issuer.clone() },
                patients: stores.patients.clone(),
                registry: stores.registry.clone(),
            },
            login: Login {
                door: door.clone(),
                sessions: stores.sessions.clone(),
                codes: stores.codes.clone(),
                issuer: issuer.clone(),
            },
            confirm_session: ConfirmSession {
                door: door.clone(),
                sessions: stores.sessions.clone(),
                codes: stores.codes.clone(),
            },
            refresh: RefreshSession { gate: gate.clone(), sessions: stores.sessions.clone(), issuer: issuer.clone() },
            end_session: EndSession { gate: gate.clone(), sessions: stores.sessions.clone() },
            change_password: ChangePassword { door: door.clone(), policy: policy.clone() },
            accept_invitation: AcceptInvitation {
                gate: gate.clone(),
                invitations: stores.invitations.clone(),
                hasher: hasher.clone(),
                policy: policy.clone(),
                issuer: issuer.clone(),
            },
            change_me: ChangeMe { gate: gate.clone(), accounts: stores.accounts.clone() },
            queries: account_queries(),
        },
        codes: Codes {
            request: RequestCode {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                codes: stores.codes.clone(),
                signer: signer.clone(),
                entropy: entropy.clone(),
                policy: config.codes.clone(),
            },
            answer: AnswerChallenge {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                codes: stores.codes.clone(),
                factors: stores.factors.clone(),
                attempts: stores.attempts.clone(),
                authenticators: authenticators.clone(),
                issuer,
            },
            reset: ResetPasswordByCode {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                codes: stores.codes.clone(),
                attempts: stores.attempts.clone(),
                hasher: hasher.clone(),
                policy: policy.clone(),
                signer: signer.clone(),
            },
        },
        factors: Factors {
            enrol: EnrolAuthenticator {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                factors: stores.factors.clone(),
                authenticators,
                signer: signer.clone(),
                entropy: entropy.clone(),
            },
            change: ChangeFactors {
                door,
                factors: stores.factors.clone(),
                signer: signer.clone(),
                entropy: entropy.clone(),
                policy: config.second_factor,
            },
        },
        accounts: Accounts {
            restart: RestartAccount {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                invitations: stores.invitations.clone(),
                attempts: stores.attempts.clone(),
                entropy: entropy.clone(),
            },
            invite: InviteStaff {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                invitations: stores.invitations.clone(),
                entropy: entropy.clone(),
            },
            change: ChangeAccount {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                attempts: stores.attempts.clone(),
            },
            queries: account_queries(),
        },
        patients: Patients {
            register: infirmary_patients::RegisterPatient { gate: gate.clone(), patients: stores.patients.clone() },
            change: infirmary_patients::ChangePatient { gate: gate.clone(), patients: stores.patients.clone() },
            queries: infirmary_patients::Queries {
                gate: gate.clone(),
                patients: stores.patients.clone(),
                care_teams: stores.care_teams.clone(),
            },
        },
        care_teams: CareTeams {
            change: ChangeCareTeam {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                care_teams: stores.care_teams.clone(),
            },
            start: StartEmergencyAccess {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                care_teams: stores.care_teams.clone(),
            },
            overview: stores.overview.clone(),
        },
        diagnoses: Diagnoses {
            record: RecordDiagnosis { gate: gate.clone(), diagnoses: stores.diagnoses.clone() },
            change: ChangeDraft { gate: gate.clone(), diagnoses: stores.diagnoses.clone() },
            confirm: ConfirmDiagnosis { gate: gate.clone(), diagnoses: stores.diagnoses.clone() },
            amend: AmendDiagnosis { gate: gate.clone(), diagnoses: stores.diagnoses.clone() },
            retract: RetractDiagnosis { gate: gate.clone(), diagnoses: stores.diagnoses.clone() },
            queries: diagnosis_queries(),
            overview: overview_queries(),
        },
        studies: Studies {
            receive: ReceiveImage { gate: gate.clone(), objects: objects.clone(), reader },
            record: RecordStudy {
                gate: gate.clone(),
                accounts: stores.accounts.clone(),
                tasks: stores.tasks.clone(),
                objects: objects.clone(),
                recorder: stores.study_recorder.clone(),
            },
            queries: infirmary_imaging::Queries {
                gate: gate.clone(),
                store: stores.images.clone(),
                previews: previews.clone(),
                signer: signer.clone(),
            },
        },
        reports: Reports {
            receive: ReceivePdf { gate: gate.clone(), objects: objects.clone(), inspector },
            issue: IssueReport {
                gate: gate.clone(),
                overview: stores.overview.clone(),
                reports: stores.reports.clone(),
                tasks: stores.tasks.clone(),
                previews,
                typesetter: report_typesetter,
                objects: objects.clone(),
                issuer: stores.report_issuer.clone(),
                entropy: entropy.clone(),
                house: house.clone(),
                verification_base_url: config.public_url.clone(),
                notices: config.report_notices,
            },
            queries: infirmary_reports::Queries {
                gate: gate.clone(),
                reports: stores.reports.clone(),
                objects: objects.clone(),
                signer: signer.clone(),
                house: house.clone(),
            },
            overview: overview_queries(),
            house: house.clone(),
            verification_base_url: config.public_url.clone(),
        },
        legacy: Legacy {
            tokens: Arc::new(StandingJwt::new(&hmac)),
            keep: KeepSession { gate: gate.clone(), sessions: stores.sessions.clone(), entropy: entropy.clone() },
            calling_code: config.calling_code.clone(),
            uploads: Semaphore::new(MAX_UPLOADS_AT_ONCE),
        },
        links: Links { signer: signer.clone(), public_url: config.public_url.clone() },
        tasks: Tasks {
            create: CreateTask { gate: gate.clone(), tasks: stores.tasks.clone(), currency },
            change: ChangeTask { gate: gate.clone(), tasks: stores.tasks.clone(), currency },
            queries: diagnosis_queries(),
        },
        audit: Audit {
            queries: infirmary_audit::Queries { gate: gate.clone(), log: stores.audit.clone() },
            verify: VerifyChain { gate: gate.clone(), log: stores.audit.clone() },
            overview: stores.overview.clone(),
        },
        financials: Financials {
            charge: ChargeByHand { gate: gate.clone(), ledger: stores.ledger.clone(), currency },
            void: VoidCharge { gate: gate.clone(), ledger: stores.ledger.clone() },
            take: TakePayment { gate: gate.clone(), ledger: stores.ledger.clone(), currency },
            refund: RefundPayment { gate: gate.clone(), ledger: stores.ledger.clone(), currency },
            settle: SettleCharge { gate: gate.clone(), ledger: stores.ledger.clone() },
            queries: infirmary_financials::Queries {
                gate: gate.clone(),
                ledger: stores.ledger.clone(),
                queries: stores.ledger_queries.clone(),
                currency,
            },
            typesetter: receipts,
            house,
        },
        messages: Messages {
            queries: infirmary_messaging::Queries { gate: gate.clone(), log: stores.messages.clone() },
            retry: RetryMessage { gate: gate.clone(), log: stores.messages.clone() },
            deliveries: webhook(config).map(|webhook| RecordDeliveries {
                webhook,
                outbox: stores.outbox.clone(),
                clock: clock.clone(),
            }),
        },
        store: stores.readiness.clone(),
        objects: objects.clone(),
        metrics,
        metrics_token: config.metrics_token.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        cors_origins: config.cors_origins.clone(),
        gate: gate.clone(),
    };
    let create_admin = CreateAdmin { gate, accounts: stores.accounts, hasher, policy };
    let strays = SweepObjects { inspection: stores.inspection, objects: objects.clone(), clock: clock.clone() };
    let background = Background {
        jobs: vec![
            background::close_audit_log(stores.audit, clock.clone()),
            background::sweep_rows(stores.sweep, clock.clone()),
            background::sweep_objects(strays),
        ],
        alone: Alone {
            leases: stores.leases,
            name: BACKGROUND,
            holder: ids.mint(clock.now()),
            clock,
            pace: Pace::default(),
        },
        courier,
        objects,
    };
    Ok(Wired { app, create_admin, background, outbox: stores.outbox })
}

/// The way out for messages.
fn sender(whatsapp: Option<&WhatsApp>, house_name: &str) -> Result<Arc<dyn MessageSender>, StartError> {
    let Some(whatsapp) = whatsapp else { return Ok(Arc::new(LogSender)) };
    let token = match &whatsapp.token {
        WhatsAppToken::Given(token) => Token::given(token.expose_secret()),
        WhatsAppToken::File(path) => Token::in_file(path),
    };
    let settings = Settings {
        base_url: whatsapp.url.clone(),
        version: whatsapp.version.clone(),
        phone_number_id: whatsapp.phone_number_id.clone(),
        code_template: whatsapp.code_template.clone(),
        report_template: whatsapp.report_template.clone(),
        emergency_template: whatsapp.emergency_template.clone(),
        language: whatsapp.language.clone(),
        house_name: house_name.to_owned(),
    };
    let sender = WhatsAppSender::new(settings, token.map_err(StartError::WhatsAppToken)?);
    Ok(Arc::new(sender.map_err(|error| StartError::Internal(error.to_string()))?))
}

/// The way back in for what became of them.
fn webhook(config: &Config) -> Option<Arc<dyn DeliveryWebhook>> {
    let secrets = config.whatsapp.as_ref()?.webhook.clone()?;
    Some(Arc::new(WhatsAppWebhook::new(secrets.app_secret, secrets.verify_token)))
}

/// The head of every sheet.
fn on_paper(house: &config::House) -> Result<House, StartError> {
    let refused = |invalid: Invalid| StartError::Internal(format!("the name or the address of the house {invalid}"));
    Ok(House {
        name: ShortText::parse(&house.name).map_err(refused)?,
        address: (!house.address.trim().is_empty())
            .then(|| PostalAddress::parse(&house.address))
            .transpose()
            .map_err(refused)?,
    })
}

/// What is in it is nobody's but the server's.
pub fn make_private_folder(folder: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|source| StartError::Folder { folder: folder.to_owned(), source })
}
