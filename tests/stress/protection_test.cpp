// The product holds no trace of the sabotaged variants, and each of these says what it lacks.
#include "runtime/protection.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

namespace vhbm {
namespace {

static_assert(keeps(Protection::gate) && keeps(Protection::other_contexts) &&
              keeps(Protection::validation));

std::string bytes_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string mark = "vhbm-protection-removed: ";

TEST(Protections, AreAllInTheProduct) {
  const std::string product = bytes_of(PRODUCT);
  EXPECT_NE(product.find("cuMemAlloc_v2"), std::string::npos) << "not the library";
  EXPECT_EQ(product.find(mark), std::string::npos);
}

TEST(Protections, AreMissingWhereAVariantSaysSo) {
  EXPECT_NE(bytes_of(WITHOUT_GATE).find(mark + "gate"), std::string::npos);
  EXPECT_NE(bytes_of(WITHOUT_OTHER_CONTEXTS).find(mark + "other_contexts"), std::string::npos);
  EXPECT_NE(bytes_of(WITHOUT_VALIDATION).find(mark + "validation"), std::string::npos);
}

}  // namespace
}  // namespace vhbm
