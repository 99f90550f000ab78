//! Runs targets, and watches what they cost.

use std::{
    collections::BTreeMap,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    panic::{self, AssertUnwindSafe},
    sync::{
        Mutex, MutexGuard, Once, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use crate::{ALLOCATOR, change::Changer, corpus};

pub struct Target {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Asserts what has to hold, and says in few words what came of the input: what has other words is of interest.
    pub run: fn(&[u8]) -> String,
    /// Good inputs, beside those of the corpus, which have to be made anew (signed, say).
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What stands in inputs, and no change of bytes would come upon.
    pub words: &'static [&'static [u8]],
    /// Of an input.
    pub max_bytes: usize,
    /// That may be allocated above what there was before, for one input.
    pub max_mib: usize,
    /// How many changed inputs each run of the tests tries.
    pub changes: usize,
}

/// One input takes milliseconds; a debug build on a busy machine is given time.
const MAX_SECONDS: u64 = 10;
/// What all inputs together may leave behind: caches, tables, buffers of threads.
const MAX_LEFT_MIB: usize = 16;

/// The allocator counts for the whole process: one target at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// Panics on any thread: those of decoders are caught where they work.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn alone() -> MutexGuard<'static, ()> {
    static COUNTING: Once = Once::new();
    COUNTING.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, Ordering::SeqCst);
            usual(info);
        }));
    });
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of the input, or what is wrong.
fn attempt(target: &Target, input: &[u8]) -> Result<String, String> {
    let (panics, used) = (PANICS.load(Ordering::SeqCst), ALLOCATOR.current_usage());
    ALLOCATOR.reset_peak_usage();
    let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let mib = ALLOCATOR.peak_usage().saturating_sub(used) / (1024 * 1024);
    match outcome {
        Ok(_) if PANICS.load(Ordering::SeqCst) > panics => Err("a panic on another thread".to_owned()),
        Ok(_) if mib > target.max_mib => Err(format!("{mib} MiB were allocated")),
        Ok(outcome) => Ok(outcome),
        Err(_) => Err("a panic".to_owned()),
    }
}

/// Runs `work` on a thread of its own, which tells each input before it begins with it. A thread that hangs cannot be
/// stopped, so the process ends with it.
fn watched(target: &'static Target, work: impl FnOnce(&dyn Fn(&[u8])) + Send + 'static) {
    static LATEST: Mutex<(Option<Instant>, Vec<u8>)> = Mutex::new((None, Vec::new()));
    let (done, is_done) = mpsc::channel::<()>();
    let worker = std::thread::spawn(move || {
        work(&|input| {
            let mut latest = LATEST.lock().unwrap();
            latest.0 = Some(Instant::now());
            latest.1.clear();
            latest.1.extend_from_slice(input);
        });
        LATEST.lock().unwrap().0 = None;
        drop(done);
    });
    while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(Duration::from_secs(1)) {
        let latest: MutexGuard<'_, (Option<Instant>, Vec<u8>)> = LATEST.lock().unwrap();
        if latest.0.is_some_and(|since| since.elapsed() > Duration::from_secs(MAX_SECONDS)) {
            let file = corpus::keep(target, &latest.1);
            println!("{}: {} takes more than {MAX_SECONDS} s", target.name, file.display());
            std::process::exit(101);
        }
    }
    if let Err(panic) = worker.join() {
        panic::resume_unwind(panic);
    }
}

fn must(target: &Target, input: &[u8]) -> String {
    attempt(target, input).unwrap_or_else(|what| {
        let file = corpus::keep(target, input);
        panic!("{}: {what}; the input is in {}", target.name, file.display());
    })
}

/// The corpus, and as many changes of it as the target says: the same in every run.
pub fn replay(target: &'static Target) {
    let _alone = alone();
    watched(target, |begins| {
        let inputs = corpus::inputs(target);
        assert!(inputs.len() > (target.seeds)().len(), "{}: the corpus is empty", target.name);
        let mut changer = Changer::new(1);
        // Twice: what is loaded once is loaded.
        for input in inputs.iter().chain(&inputs) {
            begins(input);
            must(target, input);
        }
        let used = ALLOCATOR.current_usage();
        for _ in 0..target.changes {
            let input = changer.change(&inputs, target);
            begins(&input);
            must(target, &input);
        }
        let left = ALLOCATOR.current_usage().saturating_sub(used) / (1024 * 1024);
        assert!(left <= MAX_LEFT_MIB, "{}: {left} MiB are left behind", target.name);
    });
}

/// For so many seconds of processor time as the environment says.
pub fn search(target: &'static Target) {
    let _alone = alone();
    let seconds = std::env::var("INFIRMARY_TEST_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(10.0);
    watched(target, move |begins| {
        let begun = processor_seconds();
        let mut kept: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut pool = corpus::inputs(target);
        for input in &pool {
            begins(input);
            keep_shortest(&mut kept, must(target, input), input);
        }
        let known = kept.len();
        let used = ALLOCATOR.current_usage();
        // Another search each time.
        let mut changer = Changer::new(RandomState::new().build_hasher().finish());
        let mut tried = 0_u64;
        while !tried.is_multiple_of(64) || processor_seconds() - begun < seconds {
            let input = changer.change(&pool, target);
            begins(&input);
            let outcome = must(target, &input);
            if !kept.contains_key(&outcome) {
                pool.push(input.clone());
            }
            keep_shortest(&mut kept, outcome, &input);
            tried += 1;
        }
        // But for what the search keeps itself, by which it is led.
        let of_search: usize = pool.iter().chain(kept.values()).map(Vec::capacity).sum();
        let left = ALLOCATOR.current_usage().saturating_sub(used + of_search) / 1024;
        println!(
            "{}: {tried} inputs in {:.0} s of processor time, {} outcomes ({known} before), {left} KiB more in use",
            target.name,
            processor_seconds() - begun,
            kept.len(),
        );
        assert!(left <= MAX_LEFT_MIB * 1024, "{}: {left} KiB are left behind", target.name);
        if std::env::var_os("INFIRMARY_TEST_FUZZ_KEEP").is_some() {
            corpus::keep_all(target, kept.into_values().collect());
        }
    });
}

fn keep_shortest(kept: &mut BTreeMap<String, Vec<u8>>, outcome: String, input: &[u8]) {
    let known = kept.entry(outcome).or_insert_with(|| input.to_vec());
    if input.len() < known.len() {
        *known = input.to_vec();
    }
}

/// Of the whole process; decoders have threads of their own. See proc_pid_stat(5): in hundredths of a second.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
