// What keys do.
#include "top/view.h"

#include <gtest/gtest.h>

#include "models.h"

namespace vhbm::cli {
namespace {

std::size_t order_named(const std::string& name) {
  for (std::size_t i = 0; i < sort_orders().size(); ++i) {
    if (sort_orders()[i].name == name) return i;
  }
  return sort_orders().size();
}

TEST(View, MovesTheChoiceUpAndDownAndNotBeyondTheEnds) {
  const Model model = two_processes();
  View view;
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4711);
  (void)press(Key::up, model, view);
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4711);
  (void)press(Key::down, model, view);
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4712);
  (void)press(Key::down, model, view);
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4712);
}

TEST(View, SortsByEachOrderAndKeepsTheChoice) {
  const Model model = two_processes();
  View view;
  (void)press(Key::down, model, view);
  for (const std::string name : {"hbm", "host", "moves", "stall"}) {
    view.sort = order_named(name);
    ASSERT_LT(view.sort, sort_orders().size()) << name;
    EXPECT_EQ(ordered(model, view).front()->stats.pid, 4712) << name;
  }
  (void)press(Key::reverse, model, view);
  EXPECT_EQ(ordered(model, view).front()->stats.pid, 4711);
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4712);
  view.sort = sort_orders().size() - 1;
  (void)press(Key::sort, model, view);
  EXPECT_EQ(view.sort, 0u);
}

TEST(View, ChoosesAnotherWhenTheChosenOneHasEnded) {
  Model model = two_processes();
  View view;
  view.chosen = Target{4712, 0};
  model.processes.pop_back();
  EXPECT_EQ(chosen_of(model, view)->stats.pid, 4711);
  model.processes.clear();
  EXPECT_EQ(chosen_of(model, view), nullptr);
  EXPECT_EQ(press(Key::sleep, model, view), Key::none);
  EXPECT_EQ(press(Key::down, model, view), Key::none);
}

TEST(View, LeavesItsHelpByAKeyAndNotByTime) {
  const Model model = two_processes();
  View view;
  (void)press(key_of('?'), model, view);
  ASSERT_TRUE(view.help);
  (void)press(Key::none, model, view);
  EXPECT_TRUE(view.help);
  EXPECT_EQ(press(key_of('z'), model, view), Key::none);
  EXPECT_FALSE(view.help);
}

TEST(View, HandsOnWhatOnlyTheCallerCanDo) {
  const Model model = two_processes();
  View view;
  EXPECT_EQ(press(key_of('z'), model, view), Key::sleep);
  EXPECT_EQ(press(key_of('w'), model, view), Key::wake);
  EXPECT_EQ(press(key_of('q'), model, view), Key::quit);
  EXPECT_EQ(key_of('~'), Key::other);
}

TEST(View, LooksNeitherTooOftenNorTooSeldom) {
  const Model model = two_processes();
  View view;
  for (int i = 0; i < 20; ++i) (void)press(Key::faster, model, view);
  EXPECT_DOUBLE_EQ(view.interval, 0.1);
  for (int i = 0; i < 20; ++i) (void)press(Key::slower, model, view);
  EXPECT_DOUBLE_EQ(view.interval, 60);
}

}  // namespace
}  // namespace vhbm::cli
