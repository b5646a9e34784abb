// Facts about characters (categories, case, normal forms, grapheme clusters). The character
// database is an outside library, included by unicode.cc alone. Where two libraries of the
// reference tokenizers define a class differently, each definition has its own function here and
// says whose it is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dray::tokenizer {

// The White_Space property: \s in every pattern, and Rust's char::is_whitespace.
bool IsWhitespace(char32_t code);
// \p{L} and \p{N} of patterns.
bool IsLetter(char32_t code);
bool IsNumber(char32_t code);
// \w of Rust's regex crate: Alphabetic, marks, decimal digits, connectors, joiners.
bool IsWord(char32_t code);
// General categories M*; Mn; P* or an ASCII symbol; and C* but for unassigned characters.
bool IsMark(char32_t code);
bool IsNonSpacingMark(char32_t code);
bool IsPunctuation(char32_t code);
bool IsOther(char32_t code);

// The lower case of one character (one character, but two for U+0130), appended to `out`.
void AppendLowercase(char32_t code, std::string& out);

enum class NormalForm { kNfc, kNfd, kNfkc, kNfkd };
// `text` (valid UTF-8) in that form. Linear apart from sorting each run of combining marks.
std::string Normalize(std::string_view text, NormalForm form);

// Where each extended grapheme cluster of `text` (valid UTF-8) ends, in bytes.
std::vector<size_t> GraphemeEnds(std::string_view text);

}  // namespace dray::tokenizer
