// The only file with Boost.JSON's definitions: they cost seconds to compile, once.
#include <boost/json/src.hpp>
