#include <boost/test/unit_test.hpp>
#include <fcntl.h>
#include <fstream>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/http/listening_socket.hpp"
#include "tests/http/http_fixture.hpp"

using namespace kvasir;
using namespace kvasir::testing;

BOOST_AUTO_TEST_SUITE(listening_socket)

BOOST_AUTO_TEST_CASE(a_stale_file_is_replaced) {
    const TempDir dir;
    const std::string path = dir.file("s");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
    BOOST_REQUIRE(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    ::close(dead);  // as SIGKILL would leave it
    BOOST_REQUIRE(std::filesystem::exists(path));
    const Result<ListeningSocket> socket = ListeningSocket::open_unix(path, 0660);
    BOOST_REQUIRE(socket.has_value());
    BOOST_TEST(RawClient::connect_unix(path).connected());
}

BOOST_AUTO_TEST_CASE(a_live_socket_is_respected) {
    const TempDir dir;
    const std::string path = dir.file("s");
    const ListeningSocket first = ListeningSocket::open_unix(path, 0660).value();
    const Result<ListeningSocket> second = ListeningSocket::open_unix(path, 0660);
    BOOST_REQUIRE(second.has_error());
    BOOST_TEST((second.error().code == ErrorCode::conflict));
    BOOST_TEST(second.error().message == path + ": another daemon answers on this socket");
    BOOST_TEST(RawClient::connect_unix(path).connected());
}

BOOST_AUTO_TEST_CASE(what_is_no_socket_is_left_alone) {
    const TempDir dir;
    const std::string path = dir.file("notes.txt");
    std::ofstream(path) << "precious";
    const Result<ListeningSocket> socket = ListeningSocket::open_unix(path, 0660);
    BOOST_REQUIRE(socket.has_error());
    BOOST_TEST((socket.error().code == ErrorCode::invalid_argument));
    BOOST_TEST(std::filesystem::file_size(path) == 8U);
}

BOOST_AUTO_TEST_CASE(a_path_too_long_or_without_a_directory_is_an_error) {
    const Result<ListeningSocket> longer =
        ListeningSocket::open_unix("/tmp/" + std::string(108, 'a'), 0660);
    BOOST_REQUIRE(longer.has_error());
    BOOST_TEST(longer.error().message.find("113 bytes, expected 1 to 107") != std::string::npos);
    BOOST_TEST((ListeningSocket::open_unix("/nonexistent/s", 0660).error().code == ErrorCode::io));
}

BOOST_AUTO_TEST_CASE(only_its_own_file_is_removed) {
    const TempDir dir;
    const std::string path = dir.file("s");
    {
        const ListeningSocket socket = ListeningSocket::open_unix(path, 0660).value();
        std::filesystem::remove(path);
        std::ofstream(path) << "another's";
    }
    BOOST_TEST(std::filesystem::exists(path));
    std::filesystem::remove(path);
    { const ListeningSocket socket = ListeningSocket::open_unix(path, 0660).value(); }
    BOOST_TEST(!std::filesystem::exists(path));
}

BOOST_AUTO_TEST_CASE(the_mode_does_not_depend_on_the_umask) {
    const TempDir dir;
    const mode_t old = ::umask(0077);
    const ListeningSocket socket = ListeningSocket::open_unix(dir.file("s"), 0666).value();
    ::umask(old);
    struct stat info {};
    BOOST_REQUIRE(::stat(dir.file("s").c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 07777U) == 0666U);
}

BOOST_AUTO_TEST_CASE(tcp_addresses_must_be_loopback) {
    for (const char* address : {"127.0.0.1:0", "localhost:0", "[::1]:0", "127.8.8.8:0"}) {
        const Result<ListeningSocket> socket = ListeningSocket::open_tcp(address);
        if (socket.has_error())
            BOOST_TEST((socket.error().code == ErrorCode::io), address);  // no IPv6
    }
    for (const char* address :
         {"0.0.0.0:80", "192.168.0.1:80", "[::]:80", "example.org:80", "127.0.0.1",
          "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", ":80", ""}) {
        const Result<ListeningSocket> socket = ListeningSocket::open_tcp(address);
        BOOST_REQUIRE_MESSAGE(socket.has_error(), address);
        BOOST_TEST((socket.error().code == ErrorCode::invalid_argument), address);
    }
}

BOOST_AUTO_TEST_CASE(a_taken_port_is_a_conflict) {
    const ListeningSocket first = ListeningSocket::open_tcp("127.0.0.1:0").value();
    const Result<ListeningSocket> second =
        ListeningSocket::open_tcp("127.0.0.1:" + std::to_string(first.port()));
    BOOST_REQUIRE(second.has_error());
    BOOST_TEST((second.error().code == ErrorCode::conflict));
}

BOOST_AUTO_TEST_CASE(only_listening_sockets_are_adopted) {
    BOOST_TEST(ListeningSocket::adopt(::open("/dev/null", O_RDONLY)).has_error());
    BOOST_TEST(ListeningSocket::adopt(::socket(AF_UNIX, SOCK_STREAM, 0)).has_error());
}

BOOST_FIXTURE_TEST_CASE(an_inherited_socket_is_served_and_its_file_stays, HttpFixture) {
    const std::string path = dir.file("activated");
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(path.begin(), path.end(), address.sun_path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    BOOST_REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    BOOST_REQUIRE(::listen(fd, 16) == 0);
    options.socket_path.clear();
    options.inherited_sockets = {fd};
    server();
    BOOST_TEST(RawClient::connect_unix(path).get("/health").status == 200);
    destroy_server();
    BOOST_TEST(std::filesystem::exists(path));
}

BOOST_AUTO_TEST_SUITE_END()
