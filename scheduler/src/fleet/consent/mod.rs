//! What an owner lets others use a car for: given per purpose and class of data, in words that are
//! kept, and withdrawn as easily.

mod law;
mod live;

pub use law::{CONSENT_TEXT, LAWS, Law, law_of};
pub(crate) use live::{Live, load_permits, open_now};

use ::store::schema::{consent, region, vehicle};
use ::store::{ConsentId, PartyId, Timestamp, Tx, VehicleId};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::{Span, VehicleRow, Week, load_vehicle, owned};
use crate::{DataClass, Error, Purpose, Result};

/// When in the week a consent holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, FromSqlRow)]
#[serde(transparent)]
pub struct Hours(pub Week<Span>);

impl<DB: Backend> FromSql<Text, DB> for Hours
where
    String: FromSql<Text, DB>,
{
    fn from_sql(bytes: DB::RawValue<'_>) -> deserialize::Result<Self> {
        Ok(serde_json::from_str(&String::from_sql(bytes)?)?)
    }
}

/// A row of `consent`: an owner's receipt.
#[derive(Clone, Debug, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = consent)]
pub struct ConsentRow {
    pub id: ConsentId,
    pub vehicle_id: VehicleId,
    pub purpose: Purpose,
    pub data_class: DataClass,
    pub text_version: String,
    pub given_at: Timestamp,
    pub withdrawn_at: Option<Timestamp>,
    /// The name of the profile whose words were shown.
    pub law: String,
    /// What the device said of itself by which it was given.
    pub device: Option<String>,
    /// None: always.
    pub hours: Option<Hours>,
    /// `owner`, `link` or `left`.
    pub withdrawn_by: Option<String>,
}

impl ConsentRow {
    /// The words that were agreed to.
    pub fn text(&self) -> Option<String> {
        let law = LAWS.iter().find(|law| law.name == self.law)?;
        law.text(&self.text_version, self.purpose, self.data_class)
    }
}

/// How consent is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The version of the words that were shown; none: those of now.
    pub text_version: Option<String>,
    pub hours: Option<Hours>,
    pub device: Option<String>,
}

/// Who withdraws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawal {
    Owner,
    /// Whoever had the car's signed link.
    Link,
    /// The car left.
    Left,
}

impl Withdrawal {
    fn text(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Link => "link",
            Self::Left => "left",
        }
    }
}

/// Gives consent in the words of now, at any hour. Given twice, it stands once.
///
/// # Errors
/// Those of [`give_consent_as`].
pub fn give_consent(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    purpose: Purpose,
    data_class: DataClass,
) -> Result<()> {
    give_consent_as(tx, owner, id, (purpose, data_class), &Terms::default())
}

/// Records the owner's consent for one purpose and data class. Given twice alike, it stands once;
/// with other hours or words, the earlier one ends and another receipt begins.
///
/// # Errors
/// [`Error::NotFound`] for another's car; [`Error::Invalid`] for words that are not those shown
/// now, for hours that never come, and for a car that leaves.
pub fn give_consent_as(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    (purpose, data_class): (Purpose, DataClass),
    terms: &Terms,
) -> Result<()> {
    let car = owned(tx, owner, id)?;
    if car.leaving.is_some() {
        return Err(Error::WrongState("The car has left or leaves."));
    }
    let version = terms.text_version.as_deref().unwrap_or(CONSENT_TEXT);
    if version != CONSENT_TEXT {
        let why = format!("the words shown now are those of {CONSENT_TEXT}: show them again");
        return Err(Error::invalid("/text_version", why));
    }
    check_hours(terms.hours)?;
    let law = law_for(tx, &car)?.name;
    if let Some(live) = live_consent(tx, id, purpose, data_class)? {
        if live.hours == terms.hours && live.text_version == version && live.law == law {
            return Ok(());
        }
        end(tx, live.id, Withdrawal::Owner)?;
    }
    insert(tx, id, (purpose, data_class), (version, law), terms)
}

fn insert(
    tx: &mut Tx<'_>,
    car: VehicleId,
    (purpose, data_class): (Purpose, DataClass),
    (version, law): (&str, &str),
    terms: &Terms,
) -> Result<()> {
    let text = |hours: &Hours| serde_json::to_string(hours);
    let hours = terms.hours.as_ref().map(text).transpose();
    let hours = hours.map_err(|error| Error::corrupt(error.to_string()))?;
    let consent_id: ConsentId = tx.id();
    diesel::insert_into(consent::table)
        .values((
            consent::id.eq(consent_id),
            consent::vehicle_id.eq(car),
            consent::purpose.eq(purpose),
            consent::data_class.eq(data_class),
            consent::text_version.eq(version),
            consent::given_at.eq(tx.now),
            consent::law.eq(law),
            consent::device.eq(terms.device.as_deref()),
            consent::hours.eq(hours),
        ))
        .execute(tx.conn)?;
    Ok(())
}

fn check_hours(hours: Option<Hours>) -> Result<()> {
    let Some(Hours(week)) = hours else { return Ok(()) };
    let mut spans = week.days().into_iter().flatten().peekable();
    if spans.peek().is_none() {
        return Err(Error::invalid("/hours", "names no day: leave it out for all of them"));
    }
    if spans.any(|span| span.from == span.to) {
        return Err(Error::invalid("/hours", "a span ends when it begins"));
    }
    Ok(())
}

/// Withdraws it: no new work, and running work under it is told to leave at the car's next poll.
///
/// # Errors
/// [`Error::NotFound`] for another's car.
pub fn withdraw_consent(
    tx: &mut Tx<'_>,
    owner: PartyId,
    id: VehicleId,
    purpose: Purpose,
    data_class: DataClass,
) -> Result<()> {
    owned(tx, owner, id)?;
    match live_consent(tx, id, purpose, data_class)? {
        Some(live) => end(tx, live.id, Withdrawal::Owner),
        None => Ok(()),
    }
}

fn end(tx: &mut Tx<'_>, id: ConsentId, by: Withdrawal) -> Result<()> {
    diesel::update(consent::table.find(id))
        .set((consent::withdrawn_at.eq(Some(tx.now)), consent::withdrawn_by.eq(Some(by.text()))))
        .execute(tx.conn)?;
    Ok(())
}

/// Withdraws every consent for a car; answers how many stood.
pub fn withdraw_all(tx: &mut Tx<'_>, id: VehicleId, by: Withdrawal) -> Result<usize> {
    let live =
        consent::table.filter(consent::vehicle_id.eq(id)).filter(consent::withdrawn_at.is_null());
    let ended = (consent::withdrawn_at.eq(Some(tx.now)), consent::withdrawn_by.eq(Some(by.text())));
    Ok(diesel::update(live).set(ended).execute(tx.conn)?)
}

/// Opts a car out by its signed link, whoever holds it: every consent ends. False for a car that
/// is not there or has left.
pub fn opt_out(tx: &mut Tx<'_>, id: VehicleId) -> Result<bool> {
    let there = load_vehicle(tx, id)?.is_some_and(|car| car.active);
    if there {
        withdraw_all(tx, id, Withdrawal::Link)?;
    }
    Ok(there)
}

fn live_consent(
    tx: &mut Tx<'_>,
    id: VehicleId,
    purpose: Purpose,
    data_class: DataClass,
) -> Result<Option<ConsentRow>> {
    let live = consent::table
        .filter(consent::vehicle_id.eq(id))
        .filter(consent::purpose.eq(purpose))
        .filter(consent::data_class.eq(data_class))
        .filter(consent::withdrawn_at.is_null())
        .select(ConsentRow::as_select())
        .first(tx.conn)
        .optional()?;
    Ok(live)
}

/// Every consent for a car, withdrawn ones too, oldest first.
pub(super) fn consents_of(tx: &mut Tx<'_>, id: VehicleId) -> Result<Vec<ConsentRow>> {
    let rows = consent::table
        .filter(consent::vehicle_id.eq(id))
        .order(consent::id)
        .select(ConsentRow::as_select())
        .load(tx.conn)?;
    Ok(rows)
}

/// The law that holds where a car parks.
pub fn law_for(tx: &mut Tx<'_>, car: &VehicleRow) -> Result<&'static Law> {
    law_in(tx, &car.region_id)
}

pub(super) fn law_in(tx: &mut Tx<'_>, region: &str) -> Result<&'static Law> {
    let jurisdiction: String =
        region::table.find(region).select(region::jurisdiction).first(tx.conn)?;
    Ok(law_of(&jurisdiction))
}

/// The laws of all regions in which an owner's cars park or parked.
pub fn laws_of(tx: &mut Tx<'_>, owner: PartyId) -> Result<Vec<&'static Law>> {
    let jurisdictions: Vec<String> = vehicle::table
        .inner_join(region::table.on(region::id.eq(vehicle::region_id)))
        .filter(vehicle::owner_id.eq(owner))
        .select(region::jurisdiction)
        .distinct()
        .load(tx.conn)?;
    Ok(jurisdictions.iter().map(|name| law_of(name)).collect())
}
