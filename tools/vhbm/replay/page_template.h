// page.html, compiled in.
#pragma once

namespace vhbm::replay {

extern const char* const page_template;

}  // namespace vhbm::replay
