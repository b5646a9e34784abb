// Where a family's checkpoints keep the parts of a decoder that outliers are added to.
#pragma once

#include <string_view>

namespace dray::testing {

// Names of tensors without ".weight" and ".bias". An empty name: the family has no such part.
struct Layout {
  std::string_view model_type;
  std::string_view prefix;  // what all names but the head's begin with
  std::string_view embedding;
  std::string_view positions;  // a table, whose rows are added to the token's
  std::string_view final_norm;
  std::string_view head;
  std::string_view layers;  // what the names of layers' tensors begin with; the number follows
  // In a layer:
  std::string_view attention_norm;
  std::string_view ffn_norm;  // empty: feed-forward reads the attention's norm
  // Three matrices, or three times the same one, whose rows are those of the query, the key and the
  // value of the first head, then those of the second head, and so on.
  std::string_view query;
  std::string_view key;
  std::string_view value;
  std::string_view attention_out;
  std::string_view gate;  // empty: the feed-forward layer is not gated
  std::string_view up;
  std::string_view down;

  bool has_joined_heads() const { return query == value; }
};

// Null for families of which no models with outliers can be made.
const Layout* FindLayout(std::string_view model_type);
// The families that FindLayout knows, for messages.
std::string_view KnownLayouts();

}  // namespace dray::testing
