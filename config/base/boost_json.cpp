// The only file with Boost.JSON's definitions: they cost seconds to compile, once for all programs.
#include <boost/json/src.hpp>
