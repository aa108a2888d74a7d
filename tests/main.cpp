// The only file with Boost.Test's included runner: it costs seconds to compile, once.
#define BOOST_TEST_MODULE kvasir
#include <boost/test/included/unit_test.hpp>
