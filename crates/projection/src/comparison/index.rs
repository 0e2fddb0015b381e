//! The key index: replayed into a second one, and compared with the live one key by key.

use std::sync::Arc;

use domain::{KeyId, Position, StreamName, TenantId};
use eventlog::Recorded;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};
use verify::{IndexPin, KeyIndex, RowFacts, new_index};

use super::chase::Chase;
use super::difference::{Differences, Differs};
use super::parting::{Watch, named};
use super::replay::Replay;
use super::{CompareError, Compared, Comparison, Parting, Phase, Step};
use crate::index_worker::Rows;
use crate::shelf::Stage;

/// How long the worker may take to pin: it may have to settle a recall over all keys first.
const PIN_WITHIN: Duration = Duration::from_secs(30);

/// A row of the index: a key's, or a tenant's own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Row {
    Key(TenantId, KeyId),
    Tenant(TenantId),
}

type Told<'a> = &'a mut (dyn FnMut(Step) + Send);

/// An index made anew from the log.
struct Replayed {
    /// None only while a thread that may wait has it.
    rows: Option<Rows>,
    index: Arc<KeyIndex>,
    replay: Replay,
}

impl Comparison {
    pub(super) async fn index(&mut self, told: Told<'_>) -> Result<Compared, CompareError> {
        let status = self.subjects.index_status.clone();
        if status.borrow().stage != Stage::Ready {
            return Err(CompareError::NotReady);
        }
        let mut replayed = self.begin_index().await?;
        let mut chase = Chase::begin();
        loop {
            let live = status.borrow().applied;
            chase.round(self.replay_index(&mut replayed, live, told)).await?;
            if Chase::is_near(status.borrow().applied.get().saturating_sub(live.get())) {
                break;
            }
        }
        let (reply, pinned) = oneshot::channel();
        let asked = timeout(PIN_WITHIN, self.subjects.pins.send(reply)).await;
        asked.map_err(|_| CompareError::NotReady)?.map_err(|_| CompareError::NotReady)?;
        let pin = timeout(PIN_WITHIN, pinned).await.map_err(|_| CompareError::NotReady)?;
        let pin = pin.map_err(|_| CompareError::NotReady)?;
        let position = pin.position();
        chase.round(self.replay_index(&mut replayed, position, told)).await?;
        let mut differences = self.key_by_key(pin, &mut replayed, told).await?;
        drop(replayed);
        let mut difference = differences.result();
        if let Some(difference) = &mut difference {
            let rows = std::mem::take(&mut differences.rows);
            difference.parting = self.search_index(rows, position, told).await?;
        }
        Ok(Compared { position, live: differences.live, replayed: differences.replayed, difference })
    }

    async fn begin_index(&self) -> Result<Replayed, CompareError> {
        // It never proves anything: nobody verifies by it.
        let (index, writer) = new_index(Duration::ZERO);
        let rows = Some(Rows::silent(writer));
        Ok(Replayed { rows, index, replay: Replay::begin(&self.subjects.log).await? })
    }

    async fn replay_index(
        &mut self,
        replayed: &mut Replayed,
        to: Position,
        told: Told<'_>,
    ) -> Result<(), CompareError> {
        while let Some(events) = replayed.replay.next(to).await? {
            let count = events.len() as u64;
            self.take_in_index(replayed, events, |rows, events| rows.take_in(events, None)).await?;
            told(Step { phase: Phase::Replaying, done: replayed.replay.at.get(), of: Some(to.get()) });
            self.pace.events(count).await;
        }
        Ok(())
    }

    async fn take_in_index(
        &self,
        replayed: &mut Replayed,
        events: Vec<Recorded>,
        how: impl FnOnce(&mut Rows, &[Recorded]) -> Result<(), Position> + Send + 'static,
    ) -> Result<(), CompareError> {
        let Some(mut rows) = replayed.rows.take() else { return Err(CompareError::NotReady) };
        let expected = rows.applied.next();
        let work = move || {
            let taken = how(&mut rows, &events);
            (rows, taken)
        };
        let (rows, taken) = self.subjects.stores.work().run(work).await;
        replayed.rows = Some(rows);
        taken.map_err(|found| CompareError::Hole { expected, found })
    }

    async fn key_by_key(
        &mut self,
        mut pin: IndexPin,
        replayed: &mut Replayed,
        told: Told<'_>,
    ) -> Result<Differences<Row>, CompareError> {
        let mut differences = Differences::new();
        let made = Arc::clone(&replayed.index);
        tenants(&pin, &made, &mut differences);
        let mut found = 0;
        loop {
            let of = Arc::clone(&made);
            let read = move || {
                let live = pin.read();
                let both: Vec<_> = live.into_iter().map(|live| (of.row_facts(live.key_id), live)).collect();
                (pin, both)
            };
            let (back, both) = self.subjects.stores.work().run(read).await;
            pin = back;
            if both.is_empty() {
                break;
            }
            let count = both.len() as u64;
            for (made, live) in both {
                found += usize::from(made.is_some());
                let made = made.map(|made| made.bytes);
                differences.row(&name(live.key_id), row_of(&live), Some(&live.bytes), made.as_deref());
            }
            told(Step { phase: Phase::Comparing, done: differences.live.rows, of: None });
            self.pace.rows(2 * count).await;
        }
        if found < made.key_count() {
            self.missing(&pin, replayed, &mut differences).await?;
        }
        Ok(differences)
    }

    /// Keys that the log makes and the live index has not.
    async fn missing(
        &mut self,
        live: &IndexPin,
        replayed: &mut Replayed,
        differences: &mut Differences<Row>,
    ) -> Result<(), CompareError> {
        let Some(rows) = &mut replayed.rows else { return Err(CompareError::NotReady) };
        let mut made = rows.writer.pin();
        loop {
            let some = made.read();
            if some.is_empty() {
                return Ok(());
            }
            for row in some.iter().filter(|row| !live.has(row.key_id)) {
                differences.row(&name(row.key_id), row_of(row), None, Some(&row.bytes));
            }
            self.pace.rows(some.len() as u64).await;
        }
    }

    async fn search_index(
        &mut self,
        rows: Vec<Differs<Row>>,
        to: Position,
        told: Told<'_>,
    ) -> Result<Option<Parting>, CompareError> {
        let watch = Arc::new(Mutex::new(Watch::new(rows)));
        let mut replayed = self.begin_index().await?;
        while let Some(events) = replayed.replay.next(to).await? {
            let (count, watch) = (events.len() as u64, Arc::clone(&watch));
            let one_by_one = move |rows: &mut Rows, events: &[Recorded]| -> Result<(), Position> {
                events.iter().try_for_each(|event| {
                    rows.take_in(std::slice::from_ref(event), None)?;
                    note(rows.writer.index(), event, &mut watch.lock());
                    Ok(())
                })
            };
            self.take_in_index(&mut replayed, events, one_by_one).await?;
            told(Step { phase: Phase::Searching, done: replayed.replay.at.get(), of: Some(to.get()) });
            self.pace.events(count).await;
        }
        let first = watch.lock().first();
        match first {
            Some(first) => Ok(Some(named(&self.subjects.log, first).await?)),
            None => Ok(None),
        }
    }
}

fn row_of(facts: &RowFacts) -> Row {
    Row::Key(facts.tenant.clone(), facts.key_id)
}

/// Of rows of both kinds no two have the same name: a key's is 16 bytes and one, a tenant's begins otherwise.
fn name(key_id: KeyId) -> Vec<u8> {
    [&b"k"[..], &key_id.to_bytes()].concat()
}

fn tenants(pin: &IndexPin, made: &KeyIndex, differences: &mut Differences<Row>) {
    let of_name = |tenant: &TenantId| [b"t", tenant.as_str().as_bytes()].concat();
    for live in pin.tenants() {
        let made = made.facts_of_tenant(&live.tenant).map(|made| made.bytes);
        let row = Row::Tenant(live.tenant.clone());
        differences.row(&of_name(&live.tenant), row, Some(&live.bytes), made.as_deref());
    }
    for made in made.tenant_facts() {
        if pin.tenants().binary_search_by(|live| live.tenant.cmp(&made.tenant)).is_err() {
            let row = Row::Tenant(made.tenant.clone());
            differences.row(&of_name(&made.tenant), row, None, Some(&made.bytes));
        }
    }
}

/// Notes what an event made of the rows that are watched: a key's own row, its tenant's, and with an event of the tenant those
/// of all its keys, since it may be a recall.
fn note(index: &KeyIndex, event: &Recorded, watch: &mut Watch<Row>) {
    let Ok(stream) = event.stream.as_str().parse::<StreamName>() else { return };
    let tenant = stream.tenant().clone();
    let mut rows = vec![Row::Tenant(tenant.clone())];
    match stream.key_id() {
        Some(key_id) => rows.push(Row::Key(tenant, key_id)),
        None => {
            rows.extend(watch.names().filter(|row| matches!(row, Row::Key(of, _) if *of == tenant)).cloned());
        }
    }
    rows.retain(|row| watch.has(row));
    for row in rows {
        let made = match &row {
            Row::Key(_, key_id) => index.row_facts(*key_id).map(|facts| facts.bytes),
            Row::Tenant(tenant) => index.facts_of_tenant(tenant).map(|facts| facts.bytes),
        };
        watch.written(&row, made.as_deref(), event.position);
    }
}
