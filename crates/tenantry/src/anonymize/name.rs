//! Names of columns and keys that look personal.

use super::shape::Shape;

/// What a name refers to. Each kind is expected in different types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Something that only a text can be.
    Text,
    /// Something that can also be a number: a telephone number, a postcode.
    TextOrNumber,
    /// A date of birth.
    Date,
    /// A picture, a password: also bytes.
    TextOrBytes,
    FreeText,
}

impl Kind {
    pub(super) fn fits(self, shape: &Shape, is_key: bool) -> bool {
        match shape {
            Shape::Boolean | Shape::Enum(_) => false,
            Shape::Uuid => false,
            Shape::Date | Shape::Timestamp => self == Self::Date,
            // An identifier that is named after what it refers to.
            Shape::Integer(_) => !is_key && matches!(self, Self::TextOrNumber | Self::Date),
            Shape::Numeric(_) | Shape::Float(_) => self == Self::TextOrNumber,
            Shape::Bytea => self == Self::TextOrBytes,
            Shape::Array(element) => self.fits(element, is_key),
            Shape::Text { .. }
            | Shape::Json
            | Shape::Network
            | Shape::Composite(_)
            | Shape::Other => true,
        }
    }
}

pub(super) fn holds_text(shape: &Shape) -> bool {
    match shape {
        Shape::Text { .. } | Shape::Json | Shape::Other => true,
        Shape::Array(element) => holds_text(element),
        Shape::Composite(fields) => fields.iter().any(|(_, shape)| holds_text(shape)),
        _ => false,
    }
}

/// Words that are personal anywhere in a name.
const WORDS: &[(Kind, &str)] = &[
    (
        Kind::Text,
        "email emails mail mails courriel correo address addresses addr adresse direccion \
     anschrift street strasse straße rue calle hausnummer city town ort wohnort stadt \
     ville ciudad surname firstname lastname forename fullname nickname nick maiden \
     vorname nachname familienname prenom nom nombre apellido apellidos username login \
     gender sex geschlecht sexe sexo religion ethnicity nationality iban bic swift ip \
     ipaddress mac useragent location geolocation employer diagnosis skype twitter \
     linkedin facebook instagram whatsapp handle",
    ),
    (
        Kind::TextOrNumber,
        "phone phones telephone tel telefon telefono mobile mobil handy cell cellphone msisdn \
     fax zip zipcode postcode postal plz postleitzahl age edad ssn nin passport \
     kontonummer steuernummer latitude longitude lat lng lon salary gehalt imei pan cvv \
     cvc",
    ),
    (
        Kind::Date,
        "birth birthday birthdate born dob geburtsdatum geburtstag geburt naissance \
     nacimiento death",
    ),
    (
        Kind::TextOrBytes,
        "password passwd passwort kennwort pwd contrasena secret secrets token tokens otp \
     totp pin avatar photo photos picture selfie signature fingerprint",
    ),
    (
        Kind::FreeText,
        "note notes comment comments message messages bio biography description remark \
     remarks feedback memo body notiz notizen bemerkung kommentar nachricht commentaire \
     comentario",
    ),
];

/// Words that are also personal in a name without separators, as in `customeremail`.
const LONG_WORDS: &[(Kind, &str)] = &[
    (
        Kind::Text,
        "email firstname lastname surname username vorname nachname strasse streetname \
     ipaddress",
    ),
    (Kind::TextOrNumber, "phone telefon passport postcode zipcode postalcode"),
    (Kind::Date, "birthdate birthday dateofbirth geburt"),
    (Kind::TextOrBytes, "password passwort"),
];

/// Pairs of adjacent words that are personal together.
const PAIRS: &[(&str, &str)] = &[
    ("tax", NUMBERS),
    ("vat", NUMBERS),
    ("national", NUMBERS),
    ("identity", NUMBERS),
    ("social", "security"),
    ("insurance", NUMBERS),
    ("steuer", NUMBERS),
    ("account", "number no nr holder owner"),
    ("card", "number no nr holder owner"),
    ("licence", NUMBERS),
    ("license", "number no nr plate"),
    ("user", "agent"),
    ("e", "mail"),
    ("credit", "card"),
];

const NUMBERS: &str = "id number no nr code nummer";

/// Things that have a name but are not a person.
const THINGS: &str = "file table column schema database index constraint host domain server service queue \
     job task worker event class type kind field key method function module package \
     template role group tag category label product plan project bucket folder path \
     branch repo repository currency unit status app application setting config feature \
     flag migration locale language timezone zone sheet brand model color font icon image \
     node pod cluster region country state metric variable param parameter action";

/// Last words that make the column an attribute of the thing, not the thing itself.
const ABOUT: &str = "id ids uuid count counts at type kind status state verified confirmed enabled \
     disabled visible required optional total size length limit version format template \
     templates expiry expires ttl attempts retries position order index rank";

/// Returns what a name refers to, if that is personal.
pub(super) fn name_of(name: &str) -> Option<Kind> {
    let words = words_of(name);
    let pair = words.windows(2).any(|pair| {
        PAIRS.iter().any(|(first, seconds)| pair[0] == *first && holds(seconds, &pair[1]))
    });
    if pair {
        return Some(Kind::TextOrNumber);
    }
    if words.len() > 1 && words.last().is_some_and(|last| holds(ABOUT, last)) {
        return None;
    }
    let kind_of =
        |word: &String| WORDS.iter().find(|(_, known)| holds(known, word)).map(|(kind, _)| *kind);
    let found: Vec<_> = words.iter().filter_map(kind_of).collect();
    // Free text is the weaker reason.
    if let Some(kind) = found.iter().find(|kind| **kind != Kind::FreeText) {
        return Some(*kind);
    }
    let joined = words.concat();
    let long = LONG_WORDS
        .iter()
        .find(|(_, known)| known.split_whitespace().any(|word| joined.contains(word)));
    if let Some((kind, _)) = long {
        return Some(*kind);
    }
    let at = words.iter().position(|word| word == "name" || word == "names");
    if let Some(at) = at {
        let of = at.checked_sub(1).and_then(|before| words.get(before));
        if of.is_none_or(|of| !holds(THINGS, of)) {
            return Some(Kind::Text);
        }
    }
    found.first().copied()
}

/// Returns `true` if a space-separated list contains a word.
pub(super) fn holds(list: &str, word: &str) -> bool {
    list.split_whitespace().any(|known| known == word)
}

/// Splits a name at underscores, between lower and upper case, and at digits; in lower case.
fn words_of(name: &str) -> Vec<String> {
    let (mut words, mut word, mut was_lower) = (Vec::new(), String::new(), false);
    for character in name.chars() {
        let starts = character.is_uppercase() && was_lower;
        if (starts || !character.is_alphabetic()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_alphabetic() {
            word.extend(character.to_lowercase());
        }
        was_lower = character.is_lowercase();
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_understood() {
        let personal = "email e_mail workEmail customeremail phone_number mobile fax name full_name \
     display_name firstName surname maiden_name username user_name address address_line1 \
     street city zip postcode birth_date date_of_birth dob age gender ssn tax_id \
     vat_number passport_no licence_number national_id iban bic account_number \
     card_number ip client_ip mac user_agent location lat lng password password_hash \
     api_token avatar photo_url notes comment message bio description vorname nachname \
     Strasse ort plz telefon geburtsdatum nom prenom adresse correo telefono apellido \
     company_name social_security";
        for name in personal.split_whitespace() {
            assert!(name_of(name).is_some(), "{name}");
        }
        let others = "id user_id email_id address_id created_at updated_at email_verified_at filename \
     file_name table_name event_name phone_type is_active count message_count page stage \
     storage total status currency amount price quantity title slug sort_order report \
     export import language email_template version skip chip unit normal";
        for name in others.split_whitespace() {
            assert!(name_of(name).is_none(), "{name}");
        }
    }
}
