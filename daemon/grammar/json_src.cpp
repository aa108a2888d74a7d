// Boost.JSON's implementation, for programs that do not compile it themselves.
#include <boost/json/src.hpp>
