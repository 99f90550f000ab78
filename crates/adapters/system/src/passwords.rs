use std::{
    num::NonZero,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use infirmary_auth::{HasherError, Password, PasswordHash, PasswordHasher, Verdict};
use sha2::Sha384;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    time::timeout,
};

use crate::{entropy::random, keyring::SecretKey};

pub const DEFAULT_BCRYPT_COST: u32 = 12;

/// bcrypt over `base64(HMAC-SHA-384(pepper, password))`, on a few threads of its own.
///
/// bcrypt itself cuts after 72 bytes, without a word: 37 Arabic letters are 74. The HMAC makes 64 of any length, and without
/// the pepper, which is not in the database, a stolen hash cannot be tried.
///
/// A stored hash is `hmac-sha384-bcrypt:PEPPER:$2b$...`, where PEPPER names the pepper; or, of the replaced system, plain
/// `$2a$...`, `$2b$...` or `$2y$...`.
pub struct BcryptHasher {
    recipe: Arc<Recipe>,
    slots: Arc<Semaphore>,
    waiting: AtomicUsize,
    jobs: mpsc::Sender<Job>,
}

type Job = Box<dyn FnOnce() + Send>;

impl BcryptHasher {
    /// Who comes when so many wait already is told that the house is busy.
    pub const MAX_WAITING: usize = 64;
    pub const MAX_WAIT_SECONDS: u64 = 2;

    /// With half of the cores, and one at least.
    pub fn new(pepper: &SecretKey, cost: u32) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_threads(pepper, cost, (cores / 2).max(1))
    }

    /// # Panics
    /// When the operating system gives no thread, at the start.
    fn with_threads(pepper: &SecretKey, cost: u32, threads: usize) -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for n in 0..threads {
            let queue = queue.clone();
            let run = move || {
                lower_priority();
                loop {
                    let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        // A panic is the answer of that one; the thread goes on for the others.
                        Ok(job) => drop(panic::catch_unwind(AssertUnwindSafe(job))),
                        Err(mpsc::RecvError) => return,
                    }
                }
            };
            thread::Builder::new().name(format!("password-{n}")).spawn(run).expect("a thread to hash on");
        }
        let recipe = Arc::new(Recipe {
            pepper: pepper.clone(),
            pepper_name: pepper.name(),
            cost: cost.clamp(4, Recipe::MAX_COST),
        });
        Self { recipe, slots: Arc::new(Semaphore::new(threads)), waiting: AtomicUsize::new(0), jobs }
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, HasherError> {
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            return Ok(slot);
        }
        let _place = Place::take(&self.waiting).ok_or(HasherError::Busy)?;
        match timeout(Duration::from_secs(Self::MAX_WAIT_SECONDS), self.slots.clone().acquire_owned()).await {
            Ok(Ok(slot)) => Ok(slot),
            Ok(Err(_)) | Err(_) => Err(HasherError::Busy),
        }
    }

    async fn on_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Recipe) -> T + Send + 'static,
    ) -> Result<T, HasherError> {
        let slot = self.slot().await?;
        let (answer, answered) = oneshot::channel();
        let recipe = self.recipe.clone();
        // The slot goes along: who stops waiting for the answer does not free the thread. It is free before the answer is
        // out, so that who asks once more does not wait for it.
        let job = Box::new(move || {
            let outcome = work(&recipe);
            drop(slot);
            let _ = answer.send(outcome);
        });
        self.jobs.send(job).map_err(|_| HasherError::Busy)?;
        answered.await.map_err(|_| HasherError::Busy)
    }
}

/// A place in the queue, free again when it is dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let one_more = |count| (count < BcryptHasher::MAX_WAITING).then_some(count + 1);
        waiting.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more).ok().map(|_| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[async_trait]
impl PasswordHasher for BcryptHasher {
    async fn hash(&self, password: &Password) -> Result<PasswordHash, HasherError> {
        let password = password.clone();
        self.on_thread(move |recipe| recipe.hash(&password)).await?
    }

    async fn verify(&self, password: &Password, hash: Option<PasswordHash>) -> Result<Verdict, HasherError> {
        let password = password.clone();
        self.on_thread(move |recipe| recipe.verify(&password, hash.as_ref())).await?
    }
}

#[cfg(target_os = "linux")]
const HASHING_NICE: i32 = 2;

/// On Linux the priority belongs to the thread (setpriority(2), notes). 2 leaves a thread that hashes two thirds of what
/// one that serves gets when both want the same core, and all of it when none does: with less, whoever signs in to a busy
/// house would wait too long for it.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, HASHING_NICE) {
        tracing::warn!(%error, "passwords are hashed at the priority of the requests");
    }
}

struct Recipe {
    pepper: SecretKey,
    pepper_name: String,
    cost: u32,
}

impl Recipe {
    const TAG: &'static str = "hmac-sha384-bcrypt";
    const IMPORTED: [&'static str; 3] = ["$2a$", "$2b$", "$2y$"];
    /// 2^16 rounds take seconds; a stored hash that asks for more is damage, or an attack.
    const MAX_COST: u32 = 16;

    fn prepared(&self, password: &Password) -> String {
        let mac = Hmac::<Sha384>::new_from_slice(self.pepper.expose()).expect("HMAC takes a key of any length");
        STANDARD.encode(mac.chain_update(password.expose()).finalize().into_bytes())
    }

    fn hash(&self, password: &Password) -> Result<PasswordHash, HasherError> {
        let parts =
            bcrypt::non_truncating_hash_with_salt(self.prepared(password), self.cost, random()).map_err(unreadable)?;
        let hash = parts.format_for_version(bcrypt::Version::TwoB);
        Ok(PasswordHash::from_stored(format!("{}:{}:{hash}", Self::TAG, self.pepper_name)))
    }

    fn verify(&self, password: &Password, hash: Option<&PasswordHash>) -> Result<Verdict, HasherError> {
        let Some(stored) = hash.map(PasswordHash::as_stored) else {
            bcrypt::bcrypt(self.cost, [0; 16], self.prepared(password).as_bytes());
            return Ok(Verdict::Wrong);
        };
        let (right, bcrypt) = match stored.split(':').collect::<Vec<_>>().as_slice() {
            [Self::TAG, pepper, bcrypt] if *pepper == self.pepper_name => (Verdict::Right, *bcrypt),
            [Self::TAG, ..] => return Err(unreadable("it was hashed with another pepper than the house's")),
            [imported] if Self::IMPORTED.iter().any(|prefix| imported.starts_with(prefix)) => {
                (Verdict::RightButOutdated, *imported)
            }
            _ => return Err(unreadable("it is of no form that is known")),
        };
        let cost = bcrypt.parse::<bcrypt::HashParts>().map_err(unreadable)?.get_cost();
        if cost > Self::MAX_COST {
            return Err(unreadable("it asks for more work than any of the house's"));
        }
        let same = match right {
            Verdict::Right => bcrypt::non_truncating_verify(self.prepared(password), bcrypt),
            _ => bcrypt::verify(password.expose(), bcrypt),
        };
        if !same.map_err(unreadable)? {
            // An old, cheap hash answers as late as one of today, else its time would tell that the e-mail is known: the
            // rounds from 2^cost to 2^(today's cost - 1), added to the 2^cost that are done, are those of today's cost.
            for cost in cost..self.cost {
                bcrypt::bcrypt(cost, [0; 16], self.prepared(password).as_bytes());
            }
            return Ok(Verdict::Wrong);
        }
        Ok(if cost == self.cost { right } else { Verdict::RightButOutdated })
    }
}

fn unreadable(reason: impl ToString) -> HasherError {
    HasherError::Unreadable { reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize},
    };

    use infirmary_auth::testing::hasher_laws;

    use super::*;

    const ARABIC: &str = "كلمة مرور طويلة جدا جدا لا يعرفها احد غيري";

    fn hasher(threads: usize) -> BcryptHasher {
        BcryptHasher::with_threads(&SecretKey::for_tests("pepper"), 4, threads)
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    fn imported(text: &str, cost: u32, version: bcrypt::Version) -> Option<PasswordHash> {
        let parts = bcrypt::hash_with_salt(text, cost, random()).unwrap();
        Some(PasswordHash::from_stored(parts.format_for_version(version)))
    }

    #[tokio::test]
    async fn the_laws_hold() {
        hasher_laws(&hasher(1)).await;
    }

    #[tokio::test]
    async fn what_follows_the_72nd_byte_counts() {
        assert!(ARABIC.len() > 73);
        let hasher = hasher(1);
        let hash = Some(hasher.hash(&password(ARABIC)).await.unwrap());
        assert_eq!(hasher.verify(&password(ARABIC), hash.clone()).await.unwrap(), Verdict::Right);
        for other in [format!("{ARABIC}."), ARABIC.replace("غيري", "غيرك")] {
            assert_eq!(hasher.verify(&password(&other), hash.clone()).await.unwrap(), Verdict::Wrong, "{other}");
        }
        // The trap itself, in what the replaced system kept.
        let raw = imported(ARABIC, 4, bcrypt::Version::TwoB);
        assert_eq!(hasher.verify(&password(&format!("{ARABIC}.")), raw).await.unwrap(), Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn imported_hashes_are_checked_as_they_are_and_are_to_be_replaced() {
        let hasher = hasher(1);
        for version in [bcrypt::Version::TwoA, bcrypt::Version::TwoB, bcrypt::Version::TwoY] {
            let hash = imported("old password", 5, version);
            let verify = async |text: &str| hasher.verify(&password(text), hash.clone()).await.unwrap();
            assert_eq!(verify("old password").await, Verdict::RightButOutdated);
            assert_eq!(verify("Old password").await, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_is_to_be_replaced_and_one_of_another_pepper_is_an_error() {
        let (cheap, dear) = (hasher(1), BcryptHasher::with_threads(&SecretKey::for_tests("pepper"), 6, 1));
        let hash = Some(cheap.hash(&password("the password")).await.unwrap());
        assert_eq!(dear.verify(&password("the password"), hash.clone()).await.unwrap(), Verdict::RightButOutdated);
        assert_eq!(dear.verify(&password("another"), hash.clone()).await.unwrap(), Verdict::Wrong);
        let other = BcryptHasher::with_threads(&SecretKey::for_tests("salt"), 4, 1);
        let refused = other.verify(&password("the password"), hash).await;
        assert!(matches!(refused, Err(HasherError::Unreadable { .. })));
    }

    #[tokio::test]
    async fn a_hash_that_asks_for_hours_of_work_is_refused() {
        let text = imported("x", 4, bcrypt::Version::TwoB).unwrap().as_stored().replace("$04$", "$31$");
        let refused = hasher(1).verify(&password("x"), Some(PasswordHash::from_stored(text))).await;
        assert!(matches!(refused, Err(HasherError::Unreadable { .. })));
    }

    #[tokio::test(start_paused = true)]
    async fn sixty_four_wait_the_next_is_told_at_once_and_the_others_after_two_seconds() {
        let hasher = Arc::new(hasher(1));
        let (begun, may_end) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let running = {
            let (hasher, begun, may_end) = (hasher.clone(), begun.clone(), may_end.clone());
            tokio::spawn(async move {
                let work = move |_: &Recipe| {
                    begun.wait();
                    may_end.wait();
                };
                hasher.on_thread(work).await
            })
        };
        tokio::task::yield_now().await;
        begun.wait();
        let asked = tokio::time::Instant::now();
        let others: Vec<_> = (0..65)
            .map(|_| {
                let hasher = hasher.clone();
                tokio::spawn(async move { (hasher.hash(&password("x")).await.map(|_| ()), asked.elapsed().as_secs()) })
            })
            .collect();
        let mut waited = Vec::new();
        for other in others {
            let (outcome, seconds) = other.await.unwrap();
            assert!(matches!(outcome, Err(HasherError::Busy)), "{outcome:?}");
            waited.push(seconds);
        }
        waited.sort_unstable();
        assert_eq!((waited[0], waited[1], waited[64]), (0, 2, 2));
        may_end.wait();
        running.await.unwrap().unwrap();
        assert!(hasher.hash(&password("x")).await.is_ok(), "the places are free again");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_more_hash_at_once_than_there_are_threads_though_callers_go_away() {
        let hasher = Arc::new(hasher(2));
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..40)
            .map(|n| {
                let (hasher, now, most) = (hasher.clone(), now.clone(), most.clone());
                let task = tokio::spawn(async move {
                    let work = move |_: &Recipe| {
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        now.fetch_sub(1, Ordering::SeqCst);
                    };
                    hasher.on_thread(work).await
                });
                if n % 3 == 0 {
                    task.abort();
                }
                task
            })
            .collect();
        for task in tasks {
            if let Ok(outcome) = task.await {
                outcome.unwrap();
            }
        }
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(hasher.waiting.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_thread_goes_on_after_work_that_panics() {
        let hasher = hasher(1);
        let ran = Arc::new(AtomicBool::new(false));
        let lost: Result<(), _> = hasher.on_thread(|_| panic!("for the test")).await;
        assert!(matches!(lost, Err(HasherError::Busy)));
        let seen = ran.clone();
        hasher.on_thread(move |_| seen.store(true, Ordering::SeqCst)).await.unwrap();
        assert!(ran.load(Ordering::SeqCst));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn passwords_are_hashed_at_a_low_priority_and_nothing_else_is() {
        let of_thread = || rustix::process::getpriority_process(None).unwrap();
        let before = of_thread();
        assert_eq!(hasher(1).on_thread(move |_| of_thread()).await.unwrap(), HASHING_NICE);
        assert_eq!(of_thread(), before);
    }
}
