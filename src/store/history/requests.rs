//! Reading what leads to builds: changes, source stamps, buildsets, requests.

use super::{by_ids, list};
use crate::model::{
    BuilderId, BuildsetId, BuildsetRecord, Change, ChangeId, RequestId, RequestRecord, SourceStamp, SourceStampId,
};
use crate::store::key::Table;
use crate::store::txn::Records as _;
use crate::store::{Scan, Store, StoreError};

impl Store {
    /// One change.
    pub fn change(&self, id: ChangeId) -> Result<Option<Change>, StoreError> {
        self.backend()?.record(&Table::Change.id(id.0))
    }

    /// Changes by id; descending is newest first.
    pub fn changes(&self, scan: Scan) -> Result<Vec<Change>, StoreError> {
        list(&*self.backend()?, Table::Change, &scan)
    }

    /// One source stamp.
    pub fn stamp(&self, id: SourceStampId) -> Result<Option<SourceStamp>, StoreError> {
        self.backend()?.record(&Table::Stamp.id(id.0))
    }

    /// Source stamps by id.
    pub fn stamps(&self, scan: Scan) -> Result<Vec<SourceStamp>, StoreError> {
        list(&*self.backend()?, Table::Stamp, &scan)
    }

    /// The newest change with this stamp.
    pub fn change_of_stamp(&self, id: SourceStampId) -> Result<Option<Change>, StoreError> {
        let backend = self.backend()?;
        match backend.number(&Table::ChangeOfStamp.id(id.0))? {
            Some(change) => backend.record(&Table::Change.id(change)),
            None => Ok(None),
        }
    }

    /// One buildset.
    pub fn buildset(&self, id: BuildsetId) -> Result<Option<BuildsetRecord>, StoreError> {
        self.backend()?.record(&Table::Buildset.id(id.0))
    }

    /// Buildsets by id.
    pub fn buildsets(&self, scan: Scan) -> Result<Vec<BuildsetRecord>, StoreError> {
        list(&*self.backend()?, Table::Buildset, &scan)
    }

    /// One request.
    pub fn request(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        self.backend()?.record(&Table::Request.id(id.0))
    }

    /// Requests by id.
    pub fn requests(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        list(&*self.backend()?, Table::Request, &scan)
    }

    /// Requests of one builder, by id.
    pub fn requests_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        let backend = self.backend()?;
        let range = Table::RequestOfBuilder.part_under(builder.0, &scan);
        by_ids(&*backend, Table::Request, backend.ids(&range, scan.direction(), scan.limit)?)
    }

    /// Neither complete nor claimed nor collapsed into another, by id.
    pub fn requests_waiting(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        let backend = self.backend()?;
        let range = Table::RequestWaiting.part(&scan);
        by_ids(&*backend, Table::Request, backend.ids(&range, scan.direction(), scan.limit)?)
    }
}
