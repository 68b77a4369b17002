//! Records as databases have them: MaxMind's nested ones, and flat ones of many makers.

use std::{cell::Cell, fmt};

use maxminddb::{LookupResult, MaxMindDbError};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use weir_steering_rank::{Country, Place};

use crate::{Located, Precision, database::Shared};

/// Where a place is known no better than this, kilometres, it is the middle of something.
const VAGUE_KM: f64 = 250.0;

/// Values of one record that are looked at or passed over; MaxMind's richest have some hundred.
const VALUES_MAX: u32 = 10_000;

thread_local! {
    /// Of the record that is being read, so many are left. A crafted one names itself again and
    /// again, and serde has no place for a budget.
    static VALUES: Cell<u32> = const { Cell::new(0) };
}

/// Takes one value from the budget.
fn value<E: Error>() -> Result<(), E> {
    let left = VALUES.get().checked_sub(1).ok_or_else(|| E::custom("it has too many values"))?;
    VALUES.set(left);
    Ok(())
}

/// Everything that is looked at. What a record has besides is passed over.
#[derive(Debug, Default)]
pub(crate) struct Record {
    country: Option<Field>,
    registered_country: Option<Field>,
    country_code: Option<Field>,
    city: Option<Field>,
    location: Option<Field>,
    latitude: Option<Field>,
    longitude: Option<Field>,
    autonomous_system_number: Option<Field>,
    asn: Option<Field>,
}

/// A value of whatever type a maker took for it.
#[derive(Debug, Default)]
enum Value {
    Whole(u64),
    Number(f64),
    Text(String),
    /// Nothing that is looked at.
    #[default]
    Other,
}

/// A value, or a map with those members that are looked at: `"PE"`, or `{"iso_code": "PE"}`.
#[derive(Debug, Default)]
struct Field {
    value: Value,
    iso_code: Value,
    geoname_id: Value,
    latitude: Value,
    longitude: Value,
    accuracy_radius: Value,
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i32<E>(self, _: i32) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Other)
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Value, E> {
        Ok(Value::Whole(whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        // Not serde's `IgnoredAny`: the reader follows pointers for it without counting.
        while list.next_element::<Value>()?.is_some() {}
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        while map.next_entry::<Value, Value>()?.is_some() {}
        Ok(Value::Other)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        value()?;
        from.deserialize_any(Values)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_u64<E>(self, whole: u64) -> Result<Field, E> {
        Ok(Field { value: Value::Whole(whole), ..Field::default() })
    }

    fn visit_f64<E>(self, number: f64) -> Result<Field, E> {
        Ok(Field { value: Value::Number(number), ..Field::default() })
    }

    fn visit_str<E>(self, text: &str) -> Result<Field, E> {
        Ok(Field { value: Value::Text(text.to_owned()), ..Field::default() })
    }

    fn visit_bool<E>(self, _: bool) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_i32<E>(self, _: i32) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_u128<E>(self, _: u128) -> Result<Field, E> {
        Ok(Field::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field, A::Error> {
        Ok(Field { value: Values.visit_seq(list)?, ..Field::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Field, A::Error> {
        let mut field = Field::default();
        while let Some(name) = map.next_key::<String>()? {
            let member = match &*name {
                "iso_code" => &mut field.iso_code,
                "geoname_id" => &mut field.geoname_id,
                "latitude" => &mut field.latitude,
                "longitude" => &mut field.longitude,
                "accuracy_radius" => &mut field.accuracy_radius,
                _ => {
                    map.next_value::<Value>()?;
                    continue;
                }
            };
            *member = map.next_value()?;
        }
        Ok(field)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        value()?;
        from.deserialize_any(Fields)
    }
}

struct Records;

impl<'de> Visitor<'de> for Records {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Record, A::Error> {
        let mut record = Record::default();
        while let Some(name) = map.next_key::<String>()? {
            let member = match &*name {
                "country" => &mut record.country,
                "registered_country" => &mut record.registered_country,
                "country_code" => &mut record.country_code,
                "city" => &mut record.city,
                "location" => &mut record.location,
                "latitude" | "lat" => &mut record.latitude,
                "longitude" | "lng" | "lon" => &mut record.longitude,
                "autonomous_system_number" => &mut record.autonomous_system_number,
                "asn" | "as_number" => &mut record.asn,
                _ => {
                    map.next_value::<Value>()?;
                    continue;
                }
            };
            *member = Some(map.next_value()?);
        }
        Ok(record)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Records)
    }
}

impl Value {
    fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(whole) => Some(*whole as f64),
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            Self::Other => None,
        }
    }

    /// 6147, "6147" or "AS6147".
    fn asn(&self) -> Option<u32> {
        let asn = match self {
            Self::Whole(whole) => u32::try_from(*whole).ok(),
            Self::Text(text) => {
                let digits =
                    text.trim().trim_start_matches(['A', 'a']).trim_start_matches(['S', 's']);
                digits.parse().ok()
            }
            _ => None,
        };
        asn.filter(|asn| *asn > 0)
    }

    fn country(&self) -> Option<Country> {
        if let Self::Text(text) = self { Country::parse(text.trim()) } else { None }
    }
}

impl Field {
    fn country(&self) -> Option<Country> {
        self.value.country().or_else(|| self.iso_code.country())
    }

    /// Said of a city.
    fn is_known(&self) -> bool {
        matches!(&self.value, Value::Text(name) if !name.trim().is_empty())
            || self.geoname_id.number().is_some()
    }
}

impl Record {
    /// The record that a lookup found.
    pub(crate) fn of(found: &LookupResult<'_, Shared>) -> Result<Option<Self>, MaxMindDbError> {
        VALUES.set(VALUES_MAX);
        found.decode()
    }

    /// What it says of an address.
    pub(crate) fn located(&self) -> Located {
        let country = [&self.country, &self.country_code, &self.registered_country];
        let country = country.into_iter().flatten().find_map(Field::country);
        let place = self.place();
        let asn = [&self.autonomous_system_number, &self.asn].into_iter().flatten();
        let asn = asn.into_iter().find_map(|field| field.value.asn());
        let precision = match (place, country) {
            (Some(_), _) => Precision::Place,
            (None, Some(_)) => Precision::Country,
            (None, None) => Precision::None,
        };
        Located { asn, country, place, precision }
    }

    /// Coordinates that distances can be measured from: not the middle of a country, which would
    /// send a whole region to whoever stands near it, and not 0, 0, where nobody is.
    fn place(&self) -> Option<Place> {
        let inner = self.location.as_ref();
        let number = |inner: Option<&Value>, outer: &Option<Field>| {
            let outer = outer.as_ref().and_then(|field| field.value.number());
            inner.and_then(Value::number).or(outer)
        };
        let latitude = number(inner.map(|it| &it.latitude), &self.latitude)?;
        let longitude = number(inner.map(|it| &it.longitude), &self.longitude)?;
        let null_island = latitude.abs() < 0.01 && longitude.abs() < 0.01;
        let radius = inner.and_then(|it| it.accuracy_radius.number());
        let city = self.city.as_ref().is_some_and(Field::is_known);
        let vague = match radius {
            Some(radius) if radius > 0.0 => radius > VAGUE_KM,
            _ => !city,
        };
        if null_island || vague { None } else { Place::degrees(latitude, longitude) }
    }
}
