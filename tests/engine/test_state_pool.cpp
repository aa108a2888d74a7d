#include <boost/test/unit_test.hpp>
#include <limits>

#include "daemon/engine/state_pool.hpp"

namespace kvasir {

BOOST_AUTO_TEST_SUITE(state_pool)

BOOST_AUTO_TEST_CASE(last_is_the_last_tokens_state_and_mean_is_of_all) {
    const std::vector<float> first{1, -2, 0.5F};
    const std::vector<float> second{3, 2, 0.25F};
    StatePool last(Pooling::last, 3);
    BOOST_TEST(last.n_wanted(7, false) == 0U);
    BOOST_TEST(last.n_wanted(7, true) == 1U);
    last.add(second);
    BOOST_TEST(last.take().value() == second, boost::test_tools::per_element());
    StatePool mean(Pooling::mean, 3);
    BOOST_TEST(mean.n_wanted(7, false) == 7U);
    BOOST_TEST(mean.n_wanted(7, true) == 7U);
    mean.add(first);
    mean.add(second);
    BOOST_TEST(mean.take().value() == (std::vector<float>{2, 0, 0.375F}),
               boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(what_is_not_finite_is_no_vector) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        for (const Pooling pooling : {Pooling::last, Pooling::mean}) {
            StatePool pool(pooling, 2);
            pool.add(std::vector<float>{1, bad});
            BOOST_TEST((pool.take().error().code == ErrorCode::corrupt));
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir
