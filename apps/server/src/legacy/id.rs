//! Records that were imported keep the name that they had: an ObjectId of 96 bits fits into a UUIDv7, and comes out of it
//! again. So the same old record is the same new one however often it is imported, without a table of names, and clients of
//! the replaced system find it under the name that they know. See ADR 0040.

use infirmary_auth::Account;
use infirmary_kernel::{Id, Timestamp};
use uuid::Uuid;

/// The name of a MongoDB document: seconds since 1970, then 64 bits that make it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub [u8; 12]);

const MILLIS: u64 = 1_000;
const UNIQUE_BITS: u32 = 64;
/// A UUIDv7 has 74 bits beside its time: 10 more than an ObjectId. They say that it was one.
const MARK: u128 = 0b10_1100_1110;
const RAND_B_BITS: u32 = 62;
const RAND_B: u128 = (1 << RAND_B_BITS) - 1;
const VERSION_7: u128 = 7 << 76;
const VARIANT: u128 = 0b10 << 62;

impl ObjectId {
    /// 24 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let mut bytes = [0; 12];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(bytes))
    }

    fn parts(self) -> (u64, u128) {
        let [a, b, c, d, unique @ ..] = self.0;
        (u64::from(u32::from_be_bytes([a, b, c, d])), u128::from(u64::from_be_bytes(unique)))
    }

    /// The UUIDv7 of the moment that the ObjectId names.
    pub fn to_uuid(self) -> Uuid {
        let (seconds, unique) = self.parts();
        let beside = MARK << UNIQUE_BITS | unique;
        let time = u128::from(seconds * MILLIS) << 80;
        Uuid::from_u128(time | VERSION_7 | (beside >> RAND_B_BITS) << 64 | VARIANT | beside & RAND_B)
    }

    /// `None`: the id was made here. One in a million of those looks as if it were imported; it is read back as itself.
    pub fn of_uuid(uuid: Uuid) -> Option<Self> {
        let value = uuid.as_u128();
        let millis = u64::try_from(value >> 80).ok()?;
        let beside = (value >> 64 & 0xfff) << RAND_B_BITS | value & RAND_B;
        let is_imported = value & (0xf << 76) == VERSION_7
            && value & (0b11 << 62) == VARIANT
            && millis % MILLIS == 0
            && beside >> UNIQUE_BITS == MARK;
        let seconds = u32::try_from(millis / MILLIS).ok().filter(|_| is_imported)?;
        let unique = u64::try_from(beside & u128::from(u64::MAX)).ok()?;
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&seconds.to_be_bytes());
        bytes[4..].copy_from_slice(&unique.to_be_bytes());
        Some(Self(bytes))
    }

    pub fn seconds(self) -> u64 {
        self.parts().0
    }

    /// To the second.
    pub fn made_at(self) -> Timestamp {
        let (seconds, _) = self.parts();
        Timestamp::from_unix_ms(i64::try_from(seconds * MILLIS).unwrap_or(0))
    }

    pub fn to_id<T>(self) -> Id<T> {
        Id::from_uuid(self.to_uuid())
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How clients of the replaced system call a record.
pub fn name<T>(id: Id<T>) -> String {
    ObjectId::of_uuid(id.as_uuid()).map_or_else(|| id.to_string(), |object| object.to_string())
}

/// The record that they call so.
pub fn parse<T>(text: &str) -> Option<Id<T>> {
    ObjectId::parse(text).map(ObjectId::to_id).or_else(|| Id::parse(text).ok())
}

/// There, a patient is their account: clients know both by the name of the record.
pub fn name_of_user(account: &Account) -> String {
    account.patient.map_or_else(|| name(account.id), name)
}

#[cfg(test)]
mod tests {
    use infirmary_kernel::{Clock, IdSource};
    use infirmary_system::{SystemClock, SystemIds};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_object_id_comes_back_out_of_its_uuid(bytes: [u8; 12]) {
            let (object, uuid) = (ObjectId(bytes), ObjectId(bytes).to_uuid());
            prop_assert_eq!(uuid.get_version_num(), 7);
            prop_assert_eq!(ObjectId::of_uuid(uuid), Some(object));
            prop_assert_eq!(ObjectId::parse(&object.to_string()), Some(object));
        }

        #[test]
        fn ids_sort_as_their_object_ids_do(one: [u8; 12], other: [u8; 12]) {
            prop_assert_eq!(ObjectId(one).cmp(&ObjectId(other)), ObjectId(one).to_uuid().cmp(&ObjectId(other).to_uuid()));
        }

        #[test]
        fn every_id_is_called_by_one_name_and_found_by_it(value: u128) {
            let id: Id<()> = Id::from_uuid(Uuid::from_u128(value));
            prop_assert_eq!(parse(&name(id)), Some(id));
        }
    }

    #[test]
    fn a_uuid_is_of_the_moment_of_its_object_id() {
        let object = ObjectId::parse("507f1f77bcf86cd799439011").unwrap();
        assert_eq!(object.to_uuid().as_u128() >> 80, 0x507f_1f77 * 1_000);
        for refused in ["", "507f1f77bcf86cd79943901", "507f1f77bcf86cd79943901g", "507f1f77bcf86cd7994390111"] {
            assert_eq!(parse::<()>(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_made_here_is_called_by_its_uuid() {
        let (ids, now) = (SystemIds::default(), SystemClock.now());
        let imported = (0..10_000).filter(|_| ObjectId::of_uuid(ids.uuid_v7(now)).is_some()).count();
        assert!(imported < 100, "{imported} of 10,000");
    }
}
