//! What the events of a tenant do: where its history stands, whether its keys pass at all, and which were recalled.

use domain::{Event, Position, Revision, TenantId, Timestamp};

use crate::recalls::Pending;
use crate::writer::{Applied, IndexWriter};

impl IndexWriter {
    /// Applies `TenantOpened`.
    pub fn open_tenant(&mut self, position: Position, tenant: &TenantId) -> Applied {
        let forced = self.forced();
        let Ok(number) = self.index.tenants.intern(tenant) else { return Applied::Misfit };
        self.index.tenants.at(number).change(|history| {
            if position <= history.last && !forced {
                return Applied::Older;
            }
            if history.revision != Revision::NONE && position > history.last {
                return Applied::Misfit;
            }
            history.revision = Revision::new(1);
            history.last = position;
            Applied::Done
        })
    }

    /// Applies any other event of a tenant, which happened at `at`. A recall hits at once and is settled by
    /// [`Self::settle`].
    pub fn change_tenant(
        &mut self,
        position: Position,
        tenant: &TenantId,
        revision: Revision,
        at: Timestamp,
        event: &Event,
    ) -> Applied {
        let forced = self.forced();
        let fits = matches!(
            event,
            Event::TenantConfigured(_)
                | Event::TenantClosed(_)
                | Event::KeysRecalled(_)
                | Event::PolicySet(_)
                | Event::PolicyRemoved(_)
                | Event::OwnerErased(_)
        );
        let Some(number) = self.index.tenants.find(tenant).filter(|_| fits) else { return Applied::Misfit };
        let entry = self.index.tenants.at(number);
        let quarantined = entry.flags().is_quarantined();
        let applied = entry.change(|history| {
            let older = position <= history.last;
            if older && !forced {
                return Applied::Older;
            }
            let follows = history.revision != Revision::NONE && revision == history.revision.next();
            // What a quarantined tenant's unread events did is not known, so anything may follow them.
            if !older && !follows && !quarantined {
                return Applied::Misfit;
            }
            history.revision = revision;
            history.last = position;
            Applied::Done
        });
        if applied == Applied::Done {
            match event {
                Event::TenantClosed(_) => entry.close(),
                Event::KeysRecalled(recalled) => {
                    entry.recall(Pending { position, at, selector: recalled.selector.clone() }, || false);
                    self.unsettled.push((position, number));
                }
                _ => {}
            }
        }
        applied
    }

    /// An event of this tenant cannot be read here: all its keys are refused from now on. In tenant `rescind` only the
    /// event's place is noted, since nobody could mend a service whose operators are all refused.
    pub fn quarantine_tenant(&mut self, position: Position, tenant: &TenantId) {
        // More tenants than can be numbered: then none of their keys has a row either, and all are refused.
        let Ok(number) = self.index.tenants.intern(tenant) else { return };
        let forced = self.forced();
        let entry = self.index.tenants.at(number);
        entry.note_unread(position);
        entry.change(|history| {
            if position > history.last || forced {
                history.last = position;
                history.revision = history.revision.next();
                if !tenant.is_operators() {
                    entry.quarantine();
                }
            }
        });
        // What the server that appended it read of this event goes with the others.
        if entry.recalls().is_some() {
            self.unsettled.push((position, number));
        }
    }

    /// Notes the position of a tenant's last notice; an earlier one changes nothing.
    pub fn note_notice(&mut self, tenant: &TenantId, position: Position) {
        if let Ok(number) = self.index.tenants.intern(tenant) {
            self.index.tenants.at(number).note_notice(position);
        }
    }
}
