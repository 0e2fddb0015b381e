//! Attacks on archives: each kind at many random places, by attackers who make more or less of the archive anew. Whatever is
//! done must be found, and named at its very position where the archive's tree still tells it.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use domain::{EventId, KeyId, LogId, Position};
use proof::{
    Archive, Checkpoint, Finding, Frontier, Hash, LogEvent, SignerFile, Signers, Trust, Wrong, leaf_hash,
    origin_of, verify_archive,
};

use crate::sim::Rng;

/// Events between two checkpoints that the archive keeps.
const KEPT_EVERY: u64 = 20_480;
/// One for each of two cores.
const THREADS: u64 = 2;

/// What is done to the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// One bit of one event.
    Flip,
    /// One event is taken out.
    Drop,
    /// One event is put in.
    Insert,
    /// Two events change places.
    Swap,
    /// All from one on are taken out.
    Truncate,
    /// One event is changed and everything signed anew, with the log's own signer.
    Fork,
}

impl Attack {
    const ALL: [Self; 6] = [Self::Flip, Self::Drop, Self::Insert, Self::Swap, Self::Truncate, Self::Fork];
}

/// What the attacker makes anew beside the events, whose checksums are always right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anew {
    /// Nothing: the tree is as it was signed.
    Nothing,
    /// The leaves' hashes alone.
    Leaves,
    /// The whole tree.
    Tree,
}

/// A run of attacks.
#[derive(Clone, Copy, Debug)]
pub struct Tampering {
    /// Events of the log.
    pub events: u64,
    /// Random places; each kind of attack is made at each of them.
    pub places: u64,
    /// Where the places come from.
    pub seed: u64,
}

/// A log as it was signed.
struct Log {
    id: LogId,
    events: Vec<LogEvent>,
    leaves: Vec<Hash>,
    signers: Signers,
}

impl Tampering {
    /// Makes every attack.
    ///
    /// # Errors
    /// The first attack that was not found, or named wrongly; with its seed.
    pub fn run(self) -> Result<u64, String> {
        let log = Log::of(self.events);
        let made = AtomicU64::new(0);
        let (log, made) = (&log, &made);
        let found: Vec<Result<(), String>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|worker| {
                    scope.spawn(move || {
                        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
                        log.write_signed(folder.path())?;
                        (0..self.places).filter(|place| place % THREADS == worker).try_for_each(|place| {
                            log.attack_at(folder.path(), &mut Rng::new(self.seed ^ (place << 20)), made)
                        })
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
                .collect()
        });
        let failed = found.into_iter().find_map(Result::err);
        failed
            .map_or_else(|| Ok(made.load(Ordering::Relaxed)), |why| Err(format!("seed {}: {why}", self.seed)))
    }
}

impl Log {
    fn of(events: u64) -> Self {
        let id = LogId::from_u128(7);
        let events: Vec<LogEvent> = (1..=events).map(|n| event(n, n)).collect();
        let leaves = events.iter().map(LogEvent::leaf).collect();
        let file = SignerFile::create(&origin_of(id), [7; 32].into());
        let signers = file.signers().expect("it was just made");
        Self { id, events, leaves, signers }
    }

    fn size(&self) -> u64 {
        self.events.len() as u64
    }

    fn write_signed(&self, folder: &Path) -> Result<(), String> {
        write_events(folder, self.id, &self.events)?;
        self.write_tree(folder, &self.leaves)?;
        self.write_checkpoints(folder, &self.leaves)
    }

    fn write_tree(&self, folder: &Path, leaves: &[Hash]) -> Result<(), String> {
        let levels = Archive::open(folder).map_err(|error| error.to_string())?.levels();
        let mut writer = levels.write_on(Frontier::default()).map_err(|error| error.to_string())?;
        leaves
            .iter()
            .try_for_each(|leaf| writer.push(*leaf))
            .and_then(|()| writer.sync())
            .map_err(|error| error.to_string())
    }

    fn write_checkpoints(&self, folder: &Path, leaves: &[Hash]) -> Result<(), String> {
        let size = leaves.len() as u64;
        let kept: Vec<u8> = (1..)
            .map(|n| n * KEPT_EVERY)
            .take_while(|kept| *kept < size)
            .flat_map(|kept| self.checkpoint(leaves, kept).to_bytes())
            .collect();
        let archive = Archive::open(folder).map_err(|error| error.to_string())?;
        archive
            .put_checkpoints(&self.checkpoint(leaves, size).to_bytes(), &kept)
            .map_err(|error| error.to_string())
    }

    fn checkpoint(&self, leaves: &[Hash], size: u64) -> Checkpoint {
        let mut frontier = Frontier::default();
        leaves
            .iter()
            .take(usize::try_from(size).unwrap_or(usize::MAX))
            .for_each(|leaf| frontier.push(*leaf, |_, _| {}));
        Checkpoint::sign(&origin_of(self.id), size, frontier.root(), &self.signers)
    }

    /// Every kind of attack at one random place; afterwards all is as it was signed.
    fn attack_at(&self, folder: &Path, rng: &mut Rng, made: &AtomicU64) -> Result<(), String> {
        let at = usize::try_from(rng.below(self.size() - 1)).unwrap_or(0);
        for attack in Attack::ALL {
            let numbers_anew = rng.below(2) == 0;
            let stands = self.attacked(attack, at, rng, numbers_anew);
            let anew = if attack == Attack::Fork || rng.below(5) > 0 {
                Anew::Nothing
            } else {
                [Anew::Leaves, Anew::Tree][usize::from(rng.below(2) == 0)]
            };
            let case = format!("{attack:?} at {} with {anew:?} anew, numbers anew: {numbers_anew}", at + 1);
            let found =
                self.make(folder, attack, anew, &stands).map_err(|error| format!("{case}: {error}"))?;
            let expected = expected(attack, at as u64 + 1, anew, &self.known(at));
            let named = found.first().is_some_and(|finding| expected.names(finding));
            if !named {
                return Err(format!("{case}: expected {expected:?}, found {found:?}"));
            }
            made.fetch_add(1, Ordering::Relaxed);
            self.put_back(folder, attack, anew)?;
        }
        Ok(())
    }

    /// The checkpoints that an auditor kept: one before the place and the last one.
    fn known(&self, at: usize) -> [u64; 2] {
        [at as u64, self.size()]
    }

    fn attacked(&self, attack: Attack, at: usize, rng: &mut Rng, numbers_anew: bool) -> Vec<LogEvent> {
        let mut stands = self.events.clone();
        match attack {
            Attack::Flip | Attack::Fork => {
                let mut bytes = stands[at].payload.to_vec();
                let bit = usize::try_from(rng.below(bytes.len() as u64 * 8)).unwrap_or(0);
                bytes[bit / 8] ^= 1 << (bit % 8);
                stands[at].payload = bytes.into();
            }
            Attack::Drop => drop(stands.remove(at)),
            Attack::Insert => stands.insert(at, event(at as u64 + 1, u64::MAX - at as u64)),
            Attack::Swap => {
                let far = at + 1 + usize::try_from(rng.below((stands.len() - at - 1) as u64)).unwrap_or(0);
                stands.swap(at, if rng.below(2) == 0 { at + 1 } else { far });
            }
            Attack::Truncate => stands.truncate(at),
        }
        if numbers_anew {
            for (event, n) in stands.iter_mut().zip(1..) {
                event.position = Position::new(n);
            }
        }
        stands
    }

    /// Makes the attack, and tells what a verification finds.
    fn make(
        &self,
        folder: &Path,
        attack: Attack,
        anew: Anew,
        stands: &[LogEvent],
    ) -> Result<Vec<Finding>, String> {
        write_events(folder, self.id, stands)?;
        let leaves = || -> Vec<Hash> {
            stands.iter().zip(1..).map(|(event, n)| leaf_hash(Position::new(n), &event.payload)).collect()
        };
        match (attack, anew) {
            (Attack::Fork, _) => {
                self.write_tree(folder, &leaves())?;
                self.write_checkpoints(folder, &leaves())?;
            }
            (_, Anew::Nothing) => {}
            (_, Anew::Tree) => self.write_tree(folder, &leaves())?,
            (_, Anew::Leaves) => {
                let bytes: Vec<u8> = leaves().iter().flat_map(|leaf| leaf.0).collect();
                fs::write(folder.join("levels/0"), bytes).map_err(|error| error.to_string())?;
            }
        }
        let is_held = attack == Attack::Fork;
        let known = |size: &u64| self.checkpoint(&self.leaves, *size);
        let at =
            stands.iter().zip(&self.events).take_while(|(now, then)| now.payload == then.payload).count();
        let trust = Trust {
            signers: self.signers.vkeys().cloned().collect(),
            witnesses: Vec::new(),
            known: if is_held { self.known(at).iter().map(known).collect() } else { Vec::new() },
        };
        let report = verify_archive(folder, &trust, &mut |_| {}).map_err(|error| error.to_string())?;
        Ok(report.findings)
    }

    /// What an attack left changed beside the events, which the next one writes anew in any case.
    fn put_back(&self, folder: &Path, attack: Attack, anew: Anew) -> Result<(), String> {
        if attack == Attack::Fork || anew != Anew::Nothing {
            self.write_tree(folder, &self.leaves)?;
        }
        if attack == Attack::Fork { self.write_checkpoints(folder, &self.leaves) } else { Ok(()) }
    }
}

/// What a verification has to say.
#[derive(Debug)]
struct Expected {
    wrong: &'static [Wrong],
    place: u64,
    /// At most so many positions may be named instead of the one.
    within: u64,
}

impl Expected {
    fn names(&self, finding: &Finding) -> bool {
        let span = finding.last.get() - finding.first.get();
        let holds = (finding.first.get()..=finding.last.get()).contains(&self.place);
        self.wrong.contains(&finding.wrong) && holds && span < self.within
    }
}

fn expected(attack: Attack, place: u64, anew: Anew, known: &[u64; 2]) -> Expected {
    let wrong: &[Wrong] = match (attack, anew) {
        (Attack::Fork, _) => &[Wrong::Forked],
        (Attack::Truncate, _) => &[Wrong::Missing],
        // Where no signed hash is left of the last span, that it ends an event early is all that can be seen.
        (Attack::Drop, Anew::Leaves | Anew::Tree) => &[Wrong::Changed, Wrong::Missing],
        // Without signed hashes of the very leaves only the place is told, not what was done there.
        (_, Anew::Leaves | Anew::Tree) => &[Wrong::Changed],
        (Attack::Flip, _) => &[Wrong::Changed],
        (Attack::Drop, _) => &[Wrong::Missing],
        (Attack::Insert, _) => &[Wrong::Added],
        (Attack::Swap, _) => &[Wrong::OutOfOrder],
    };
    let within = match (attack, anew) {
        (Attack::Fork, _) => known[1] - known[0],
        (_, Anew::Nothing) => 1,
        (Attack::Flip, Anew::Leaves) if KEPT_EVERY.is_multiple_of(256) => 256,
        (_, Anew::Leaves | Anew::Tree) => KEPT_EVERY,
    };
    Expected { wrong, place, within }
}

/// Writes segments as an attacker would: whole, with right checksums and right names, whatever the numbers inside say.
fn write_events(folder: &Path, id: LogId, events: &[LogEvent]) -> Result<(), String> {
    let segments = folder.join("segments");
    if segments.exists() {
        fs::remove_dir_all(&segments).map_err(|error| error.to_string())?;
        fs::create_dir(&segments).map_err(|error| error.to_string())?;
    }
    Archive::create(folder, id).map_err(|error| error.to_string())?;
    for (events, n) in events.chunks(SEGMENT).zip(0..) {
        let mut bytes = b"rescind events 1".to_vec();
        events.iter().try_for_each(|event| proof::encode_event(event, &mut bytes))?;
        let first = n * SEGMENT + 1;
        let name = format!("{first:020}-{:020}.events", first + events.len() - 1);
        fs::write(segments.join(name), bytes).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Events of one segment here, so that a log has several.
const SEGMENT: usize = 30_000;

/// An event whose bytes name it as an envelope does; `what` tells one from another.
fn event(position: u64, what: u64) -> LogEvent {
    let id = EventId::from_u128(u128::from(what) << 64 | 5);
    let key_id = KeyId::from_u128(u128::from(what) << 32 | 3);
    let mut payload = vec![0x12, 16];
    payload.extend_from_slice(&id.to_bytes());
    payload.extend_from_slice(&[0x1a, 4]);
    payload.extend_from_slice(b"acme");
    payload.extend_from_slice(&[0x22, 16]);
    payload.extend_from_slice(&key_id.to_bytes());
    // Each is the first of its stream.
    payload.extend_from_slice(&[0x28, 1]);
    // A field that no build knows, to the size of a usual event.
    payload.extend_from_slice(&[0xfa, 0x7f, 64]);
    payload.extend_from_slice(&[0x2a; 64]);
    LogEvent {
        position: Position::new(position),
        stream: format!("acme.{key_id}").into(),
        id,
        payload: payload.into(),
    }
}
