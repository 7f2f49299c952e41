//! Short stories from templates: plots of a few sentences, each with several variants, about two people.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use super::order::below;

const STORIES: usize = 3000;

/// Names with their pronouns.
const PEOPLE: [(&str, [&str; 3]); 12] = {
    const SHE: [&str; 3] = ["she", "She", "her"];
    const HE: [&str; 3] = ["he", "He", "his"];
    [
        ("Anna", SHE),
        ("Ben", HE),
        ("Clara", SHE),
        ("David", HE),
        ("Emma", SHE),
        ("Felix", HE),
        ("Greta", SHE),
        ("Henry", HE),
        ("Ida", SHE),
        ("Jack", HE),
        ("Lily", SHE),
        ("Max", HE),
    ]
};

/// Replacements of placeholders; each placeholder has one replacement per story.
const WORDS: [(&str, &[&str]); 8] = [
    ("{colour}", &["red", "blue", "green", "yellow", "white", "brown"]),
    ("{thing}", &["ball", "kite", "boat", "drum", "hat", "bell", "lamp", "box"]),
    ("{place}", &["park", "garden", "river", "forest", "market", "hill", "lake", "beach"]),
    ("{size}", &["small", "big", "young", "thin", "funny", "quiet"]),
    ("{animal}", &["dog", "cat", "bird", "fox", "horse", "frog", "duck", "mouse"]),
    ("{food}", &["bread", "soup", "cake", "milk", "an apple", "some cheese"]),
    (
        "{day}",
        &["One day", "One morning", "Last week", "On a sunny day", "In the winter", "After school"],
    ),
    ("{feeling}", &["happy", "glad", "proud", "merry"]),
];

/// Plots: a list of sentences, each with several variants.
const KINDS: [&[&[&str]]; 4] = [
    &[
        &[
            "{a} had a {colour} {thing}.",
            "{a} loved {his} {colour} {thing}.",
            "{a} got a {colour} {thing} from {b}.",
        ],
        &[
            "{day} {he} took the {thing} to the {place} and lost it there.",
            "{day} {he} played at the {place}, and the {thing} was gone.",
        ],
        &[
            "{He} looked behind every tree.",
            "{He} looked under the stones.",
            "{He} looked for it until the evening.",
            "{He} asked a {size} {animal}, but it did not know.",
        ],
        &[
            "Then {b} came. \"I found a {thing},\" said {b}. \"Is it yours?\"",
            "\"What do you look for?\" asked {b}. \"My {colour} {thing},\" said {a}.",
        ],
        &[
            "{a} was so {feeling} that {he} gave {b} {food}.",
            "They found the {thing} together, and {a} was {feeling} again.",
            "\"Thank you, {b}!\" said {a}, and took the {colour} {thing} home.",
        ],
    ],
    &[
        &[
            "{day} {a} met a {size} {animal} at the {place}.",
            "{day} a {size} {animal} sat at the {place}, and {a} saw it.",
        ],
        &[
            "\"Are you hungry?\" asked {a}.",
            "The {animal} was cold and hungry.",
            "The {animal} looked at {a} and said nothing.",
        ],
        &[
            "So {he} gave the {animal} {food}.",
            "{a} shared {food} with the {animal}.",
            "{He} ran home and came back with {food}.",
        ],
        &[
            "The {animal} ate it all.",
            "The {animal} was not afraid any more.",
            "Then the {animal} slept in the sun.",
        ],
        &[
            "Now {a} and the {animal} are friends.",
            "From that day the {size} {animal} went with {a} everywhere.",
            "In the evening {a} told {b} about the {size} {animal}.",
        ],
    ],
    &[
        &[
            "{a} and {b} wanted to make a {thing}.",
            "{day} {a} made a {thing}, and {b} helped.",
            "{a} wanted to give {b} a {thing}.",
        ],
        &[
            "First {he} went to the {place} for wood.",
            "First {he} found what {he} needed at the {place}.",
            "At the {place} {he} bought {colour} paper.",
        ],
        &["The first {thing} was too small.", "The first {thing} broke.", "It took {a} all day."],
        &["But {a} did not stop.", "\"Try again,\" said {b}.", "So {he} began again."],
        &[
            "At last there was a {colour} {thing}, and {b} was {feeling}.",
            "Now the {colour} {thing} of {a} is the best at the {place}.",
            "\"What a {colour} {thing}!\" said {b}.",
        ],
    ],
    &[
        &[
            "{a} was afraid of the {place}.",
            "{a} did not like to go to the {place}.",
            "Nobody went to the {place} at night but {a}.",
        ],
        &[
            "{day} {b} asked {a} to come along.",
            "\"There is a {size} {animal} at the {place},\" said {b}.",
            "{day} {his} {thing} fell into the water there.",
        ],
        &[
            "{a} took {his} {colour} {thing} and went.",
            "{He} ate {food} and thought about it.",
            "\"I will go,\" said {a}.",
        ],
        &[
            "At the {place} a {size} {animal} sang a song.",
            "There was only a {size} {animal}.",
            "It was dark, but {he} heard the {animal}.",
        ],
        &[
            "{a} laughed and was {feeling}.",
            "After that {a} was never afraid of the {place} again.",
            "\"Come again,\" said the {animal}, and {a} did.",
        ],
    ],
];

/// Generates all stories, with an empty line after each.
pub fn stories(rng: &mut ChaCha8Rng) -> String {
    let mut text = String::new();
    for _ in 0..STORIES {
        let mut pick = |count| below(rng.next_u64(), count);
        let first = pick(PEOPLE.len());
        let friend = (first + 1 + pick(PEOPLE.len() - 1)) % PEOPLE.len();
        let (a, [he, begun, his]) = PEOPLE[first];
        let (b, _) = PEOPLE[friend];
        let kind = KINDS[pick(KINDS.len())];
        let sentences: Vec<&str> = kind.iter().map(|ways| ways[pick(ways.len())]).collect();
        let mut story = sentences.join(" ");
        for (place, word) in [("{a}", a), ("{b}", b), ("{he}", he), ("{He}", begun), ("{his}", his)]
        {
            story = story.replace(place, word);
        }
        for (place, words) in WORDS {
            story = story.replace(place, words[pick(words.len())]);
        }
        text += &story;
        text += "\n\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_story_uses_the_pronouns_of_its_characters() {
        let text = stories(&mut ChaCha8Rng::seed_from_u64(0));
        let all: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(all.len(), STORIES);
        assert!(!text.contains(['{', '}']));
        for story in all {
            let word =
                |word: &str| story.split(|c: char| !c.is_alphabetic()).any(|one| one == word);
            let people: Vec<_> = PEOPLE.iter().filter(|(name, _)| word(name)).collect();
            assert!((1..=2).contains(&people.len()), "{story}");
            let (_, own) = people.iter().min_by_key(|(name, _)| story.find(name)).unwrap();
            for other in
                PEOPLE.iter().flat_map(|(_, words)| words).filter(|word| !own.contains(word))
            {
                assert!(!word(other), "{story}");
            }
        }
    }
}
