#pragma once

namespace show1 {

enum class Act { kNone, kSilu, kGelu };

}  // namespace show1
