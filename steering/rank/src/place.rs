//! Where something is: countries and coordinates, in whole numbers, so that what is written is
//! read back bit for bit.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Micro-degrees in a degree.
const MICRO: f64 = 1_000_000.0;

/// An ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Country([u8; 2]);

impl Country {
    /// Two letters, in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let code: [u8; 2] = text.as_bytes().try_into().ok()?;
        let letters = code.iter().all(u8::is_ascii_alphabetic);
        letters.then(|| Self(code.map(|letter| letter.to_ascii_uppercase())))
    }

    /// The code.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("two ASCII letters")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Country {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Country {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("a country is two letters"))
    }
}

/// Coordinates in micro-degrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// North of the equator.
    pub latitude: i32,
    /// East of Greenwich.
    pub longitude: i32,
}

impl Place {
    /// Coordinates in degrees; none where they are no place on Earth.
    pub fn degrees(latitude: f64, longitude: f64) -> Option<Self> {
        let whole = |degrees: f64| (degrees * MICRO).round() as i32;
        let place = Self { latitude: whole(latitude), longitude: whole(longitude) };
        (latitude.is_finite() && longitude.is_finite() && place.is_on_earth()).then_some(place)
    }

    /// Within 90 degrees north and south, 180 east and west.
    pub fn is_on_earth(self) -> bool {
        self.latitude.unsigned_abs() <= 90_000_000 && self.longitude.unsigned_abs() <= 180_000_000
    }

    /// As a point of the unit sphere: nearness is a dot product then, and needs no trigonometry
    /// for each pair.
    pub(crate) fn point(self) -> Point {
        let radians = |micro: i32| (f64::from(micro) / MICRO).to_radians();
        let (latitude, longitude) = (radians(self.latitude), radians(self.longitude));
        let ring = latitude.cos();
        Point([ring * longitude.cos(), ring * longitude.sin(), latitude.sin()].map(|x| x as f32))
    }

    /// Kilometres to `other` along the Earth, by the haversine formula.
    pub fn kilometres(self, other: Self) -> f64 {
        let radians = |micro: i32| (f64::from(micro) / MICRO).to_radians();
        let half = |from: i32, to: i32| ((radians(to) - radians(from)) / 2.0).sin().powi(2);
        let between = half(self.latitude, other.latitude)
            + radians(self.latitude).cos()
                * radians(other.latitude).cos()
                * half(self.longitude, other.longitude);
        2.0 * 6371.0 * between.sqrt().min(1.0).asin()
    }
}

/// A place on the unit sphere.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point([f32; 3]);

impl Point {
    /// Greater is nearer. In steps of about 6 km, so that the last bit of a cosine decides
    /// nothing: the next machine's library may round it otherwise.
    pub(crate) fn nearness(self, other: Self) -> i32 {
        // The square of the chord keeps small distances apart, where a cosine is flat.
        let chord: f32 = (0..3).map(|axis| (self.0[axis] - other.0[axis]).powi(2)).sum();
        -((chord.sqrt() * 1000.0) as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(latitude: f64, longitude: f64) -> Place {
        Place::degrees(latitude, longitude).unwrap()
    }

    #[test]
    fn distances_are_those_of_an_atlas() {
        let lima = place(-12.05, -77.05);
        let bogota = place(4.71, -74.07);
        let madrid = place(40.42, -3.70);
        assert!((lima.kilometres(bogota) - 1890.0).abs() < 20.0);
        assert!((lima.kilometres(madrid) - 9510.0).abs() < 60.0);
        let near = |from: Place, to: Place| from.point().nearness(to.point());
        assert!(near(lima, bogota) > near(lima, madrid));
        assert_eq!(near(lima, lima), 0);
        // Over the date line.
        assert!(near(place(0.0, 179.9), place(0.0, -179.9)) > near(lima, bogota));
    }

    #[test]
    fn what_is_no_place_is_none() {
        for (latitude, longitude) in [(91.0, 0.0), (0.0, -181.0), (f64::NAN, 0.0), (1e300, 0.0)] {
            assert_eq!(Place::degrees(latitude, longitude), None, "{latitude} {longitude}");
        }
        for text in ["", "P", "PER", "P1", "é"] {
            assert_eq!(Country::parse(text), None, "{text}");
        }
        assert_eq!(Country::parse("pe").unwrap().as_str(), "PE");
    }
}
