//! The tokens that end a text.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::setting::{SettingType, Shape};

/// Ids of the tokens that end a text, as `eos_token_id` in transformers: in JSON `null`, one id or a list of ids.
///
/// The first one is the end-of-sequence token of the tokenizer. Chat models often have a second one, such as Llama 3's
/// `<|eot_id|>` beside `<|end_of_text|>`; sampling stops at each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(ts_rs::TS), ts(type = "number | Array<number> | null"))]
pub struct EndTokens(Vec<u32>);

/// The forms in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    None(()),
    One(u32),
    Several(Vec<u32>),
}

impl EndTokens {
    /// Returns the ids in order.
    pub fn ids(&self) -> &[u32] {
        &self.0
    }

    /// Returns the first id.
    pub fn first(&self) -> Option<u32> {
        self.0.first().copied()
    }

    /// Returns true if the token ends a text.
    pub fn contains(&self, id: u32) -> bool {
        self.0.contains(&id)
    }
}

impl FromIterator<u32> for EndTokens {
    /// Collects ids without repetitions.
    fn from_iter<I: IntoIterator<Item = u32>>(ids: I) -> Self {
        let mut ends = Self::default();
        for id in ids {
            if !ends.contains(id) {
                ends.0.push(id);
            }
        }
        ends
    }
}

impl From<Option<u32>> for EndTokens {
    fn from(id: Option<u32>) -> Self {
        id.into_iter().collect()
    }
}

impl Serialize for EndTokens {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match self.0.as_slice() {
            [] => Form::None(()),
            [id] => Form::One(*id),
            ids => Form::Several(ids.to_vec()),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EndTokens {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Form::deserialize(deserializer)? {
            Form::None(()) => Self::default(),
            Form::One(id) => Some(id).into(),
            Form::Several(ids) => ids.into_iter().collect(),
        })
    }
}

impl SettingType for EndTokens {
    const SHAPE: Shape = <Option<u32>>::SHAPE;
}

#[cfg(test)]
mod tests {
    use super::EndTokens;

    #[test]
    fn json_has_the_forms_of_transformers() {
        for (json, ids) in [("null", &[][..]), ("7", &[7]), ("[7,9]", &[7, 9])] {
            let ends: EndTokens = serde_json::from_str(json).unwrap();
            assert_eq!(ends.ids(), ids);
            assert_eq!(serde_json::to_string(&ends).unwrap(), json);
        }
        let repeated: EndTokens = serde_json::from_str("[7, 7]").unwrap();
        assert_eq!(repeated, Some(7).into());
        assert!(serde_json::from_str::<EndTokens>("\"</s>\"").is_err());
    }
}
